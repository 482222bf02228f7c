"""Evidence in logits as DICOM Parametric Map, at the resolution of the model's map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from highdicom import PixelMeasuresSequence, PlaneOrientationSequence, PlanePositionSequence
from highdicom.pm import ParametricMap, RealWorldValueMapping
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from softcam.delivery.dicom.case import Case
from softcam.delivery.dicom.codes import LOGITS, scheme_identification

WHAT, NUMBER = "evidence maps", 3


@dataclass(frozen=True)
class Plane:
    """Where an image lies in the patient (DICOM PS3.3 C.7.6.2).

    Attributes:
        position: Of the middle of the first pixel, in mm.
        orientation: Directions of the rows and of the columns, six cosines.
        spacing: Distance of the middles of two rows, and of two columns, in mm.
    """

    position: tuple[float, ...]
    orientation: tuple[float, ...]
    spacing: tuple[float, float]

    @classmethod
    def of(cls, header: Dataset) -> Plane | None:
        """Return the plane of an image; None where its header does not say it, as those of radiographs do not."""
        position, orientation, spacing = (
            _find(header, *where)
            for where in (
                ("ImagePositionPatient", "PlanePositionSequence"),
                ("ImageOrientationPatient", "PlaneOrientationSequence"),
                ("PixelSpacing", "PixelMeasuresSequence"),
            )
        )
        if not (position and orientation and spacing and header.get("FrameOfReferenceUID")):
            return None
        return cls(position, orientation, (spacing[0], spacing[1]))

    def in_cells(self, size: tuple[int, int], cells: tuple[int, int]) -> Plane:
        """Return the plane of a map of ``cells`` ``(h, w)`` that covers the whole image of ``size`` ``(H, W)``.

        The outer edges stay where they are, so the middle of the first cell is not that of the first pixel.
        """
        rows, columns = (step * pixels / count for step, pixels, count in zip(self.spacing, size, cells, strict=True))
        along_row, along_column = np.array(self.orientation).reshape(2, 3)
        moved = (
            np.array(self.position)
            + along_row * (columns - self.spacing[1]) / 2
            + along_column * (rows - self.spacing[0]) / 2
        )
        return Plane(tuple(moved.tolist()), self.orientation, (rows, columns))


def make_parametric_map(case: Case) -> ParametricMap | None:
    """Make a map of float32 logits for each class shown; None where the image has no plane in the patient.

    The values are those of the model, cell by cell, so that their mean is what the evidence adds to the logit.
    """
    plane = Plane.of(case.header)
    if plane is None:
        return None
    maps = case.maps()
    cells = plane.in_cells((int(case.header.Rows), int(case.header.Columns)), maps.shape[1:])
    thickness = float(case.header.get("SliceThickness") or 1.0)
    result = ParametricMap(
        source_images=[case.header],
        pixel_array=np.ascontiguousarray(maps.transpose(1, 2, 0)[None], dtype=np.float32),
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[[_mapping(case, index)] for index in case.shown],
        window_center=0.0,
        window_width=2 * case.limit,
        content_label="EVIDENCE",
        content_description=f"{case.kind} evidence in logits",
        pixel_measures=PixelMeasuresSequence(cells.spacing, slice_thickness=thickness),
        plane_orientation=PlaneOrientationSequence("PATIENT", cells.orientation),
        plane_positions=[PlanePositionSequence("PATIENT", cells.position)],
        **case.place(WHAT, NUMBER, maps.tobytes()),
    )
    result.CodingSchemeIdentificationSequence = [scheme_identification()]
    return result


def _mapping(case: Case, index: int) -> RealWorldValueMapping:
    values = case.evidence.shown[index]
    return RealWorldValueMapping(
        lut_label=case.names[index][:16],
        lut_explanation=case.meaning(index)[:64],
        unit=LOGITS,
        value_range=(float(values.min()), float(values.max())),
        slope=1.0,
        intercept=0.0,
        quantity_definition=codes.DCM.ClassActivation,
    )


def _find(header: Dataset, keyword: str, macro: str) -> tuple[float, ...]:
    """Find a vector in a classic header, or in the functional groups of one enhanced frame."""
    groups = [*header.get("PerFrameFunctionalGroupsSequence", ()), *header.get("SharedFunctionalGroupsSequence", ())]
    holders = [header, *(item for group in groups for item in group.get(macro, ()))]
    return next((tuple(map(float, holder[keyword].value)) for holder in holders if holder.get(keyword)), ())
