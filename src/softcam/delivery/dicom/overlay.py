"""Evidence over its image as Secondary Capture: what every viewer shows."""

from __future__ import annotations

import numpy as np
from highdicom.sc import SCImage
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian

from softcam.delivery.dicom.case import Case
from softcam.reporting.overlay import Picture, panel, signed

WHAT, NUMBER = "evidence overlay", 1


def make_overlay(case: Case, picture: Picture, index: int) -> SCImage:
    """Make a colour image: the source, beside it the evidence over its grey copy with a scale in logits.

    Args:
        case: The explained image.
        picture: The image as it is shown, ``(H, W, 3)``.
        index: Of the output to show.
    """
    evidence, name = case.evidence, case.names[index]
    total, bias = float(evidence.shown[index].mean(dtype=np.float64)), float(evidence.shown_bias[index])
    title = f"{name}: probability {evidence.probabilities[index]:.3f}"
    said = f"{case.kind} evidence {signed(total)}, bias {signed(bias)} (logits)"
    pixels = np.ascontiguousarray(panel(picture, evidence.shown[index], case.limit, title, said))
    place = case.place(WHAT, NUMBER, str(index).encode(), pixels.tobytes())
    image = SCImage.from_ref_dataset(
        case.header,
        pixels,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "F"),  # asked for; two pictures side by side have none, see below
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **{**place, "instance_number": 1000 * place["instance_number"] + index},
    )
    image.PatientOrientation = None
    image.SeriesDescription = place["series_description"]
    image.BurnedInAnnotation = "NO"  # no one is named in the caption
    image.LossyImageCompression = case.header.get("LossyImageCompression", "00")
    image.DerivationDescription = f"{case.meaning(index)}, full colour at {case.limit:g} logits; for review, not primary"
    image.SourceImageSequence = [source_reference(case)]
    return image


def source_reference(case: Case) -> Dataset:
    """Return the item that refers to the image that was explained (DICOM PS3.3 C.7.6.1.1.4)."""
    item = Dataset()
    item.ReferencedSOPClassUID = case.header.SOPClassUID
    item.ReferencedSOPInstanceUID = case.header.SOPInstanceUID
    purpose = codes.DCM.SourceImageForImageProcessingOperation
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = purpose[:3]
    item.PurposeOfReferenceCodeSequence = [code]
    return item
