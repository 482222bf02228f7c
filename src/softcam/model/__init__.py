"""What a SoftCAM is: the class evidence layer, the conversion of a classifier, checkpoints."""
