"""Many trainings that differ in the weights of the penalties: the grid, its folder, its trainings."""
