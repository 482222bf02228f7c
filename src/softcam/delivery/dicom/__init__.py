"""Explanations as DICOM objects, for viewers and archives; made with highdicom (extra ``dicom``)."""
