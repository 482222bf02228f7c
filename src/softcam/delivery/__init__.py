"""Delivery: the model and its evidence in other runtimes, in DICOM, and in a browser."""
