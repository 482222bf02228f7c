"""The web viewer: the evidence in an image, and what the decision would be without a part of it."""
