"""What the points of a sweep are worth, and which of them to take."""
