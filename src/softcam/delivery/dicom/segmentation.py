"""Where the evidence exceeds a threshold, as DICOM Segmentation at the resolution of the image."""

from __future__ import annotations

from highdicom.seg import SegmentAlgorithmTypeValues, SegmentationTypeValues, SegmentDescription, Segmentation
from pydicom.sr.codedict import codes

from softcam.delivery.dicom.case import Case
from softcam.delivery.dicom.codes import algorithm, of_class, scheme_identification

WHAT, NUMBER = "evidence segments", 2


def make_segmentation(case: Case) -> Segmentation:
    """Make one binary segment for each class shown: where its evidence is at least ``case.threshold`` logits.

    A segment may be empty: there is no such place then.
    """
    mask = case.resampled() >= case.threshold
    described = [
        SegmentDescription(
            segment_number=number,
            segment_label=case.names[index][:64],
            segmented_property_category=codes.SCT.SpatialAndRelationalConcept,
            segmented_property_type=of_class(case.names[index]),
            algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identification=algorithm(case),
            tracking_id=f"softcam {case.names[index]}"[:64],
            tracking_uid=case.uid(f"segment {index}"),
        )
        for number, index in enumerate(case.shown, start=1)
    ]
    result = Segmentation(
        source_images=[case.header],
        pixel_array=mask.transpose(1, 2, 0)[None].astype("uint8"),
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=described,
        content_label="EVIDENCE",
        content_description=f"{case.kind} evidence of at least {case.threshold:g} logits"[:64],
        omit_empty_frames=False,
        **case.place(WHAT, NUMBER, str(case.threshold).encode(), mask.tobytes()),
    )
    result.CodingSchemeIdentificationSequence = [scheme_identification()]
    return result
