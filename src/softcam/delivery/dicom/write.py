"""Writing the DICOM objects of an explained image: all of them, or none."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from softcam.delivery.extras import need
from softcam.errors import ConfigError
from softcam.files import atomic_directory
from softcam.model.checkpoint import ModelCard
from softcam.reporting.overlay import Picture
from softcam.reporting.record import ImageEvidence
from softcam.reporting.selection import ExplainOptions
from softcam.reporting.sources import Source

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from softcam.delivery.dicom.case import Case

THRESHOLD = 2.2
"""Logits: an image of nothing but places with this evidence would have a probability of .9, leaving the bias out."""


@dataclass(frozen=True)
class DicomWriter:
    """Writes an explanation as DICOM objects that refer to the image and belong to its study.

    For each image ``OUT/UID/``, UID being that of the image: ``overlay-N.dcm`` (Secondary Capture, one for each class
    shown), ``segmentation.dcm``, ``report.dcm`` (Structured Report), and, where the image has a plane in the patient,
    ``parametric-map.dcm``. They hold the patient's data, as the image does; file names do not.

    Attributes:
        out: Folder to write to.
        card: Of the model.
        options: What to show.
        threshold: Logits from which on a place belongs to a segment.

    Raises:
        ConfigError: The threshold is not finite, or the extra ``dicom`` is not installed.
    """

    out: Path
    card: ModelCard
    options: ExplainOptions
    threshold: float = THRESHOLD

    def __post_init__(self) -> None:
        if not math.isfinite(self.threshold):
            raise ConfigError(f"the threshold of DICOM segments is {self.threshold}; give a number of logits")
        need("highdicom", extra="dicom")

    def __call__(
        self, source: Source, picture: Picture, size: tuple[int, int], evidence: ImageEvidence, limit: float
    ) -> None:
        """Write the objects of an image.

        Args:
            source: The image.
            picture: The image as it is shown, ``(H, W, 3)``.
            size: Height and width of the image file.
            evidence: What the model sees in it.
            limit: Logits at full colour.

        Raises:
            DataError: It is no DICOM image, or has a header of which no objects can be made.
        """
        from softcam.delivery.dicom.case import Case
        from softcam.delivery.dicom.source import discreet, read_header

        with discreet(source.path):
            header = read_header(source.path)
            shown = tuple(self.options.select(self.card, evidence.probabilities.tolist()))
            case = Case(header, self.card, evidence, shown, self.options.shown, limit, self.threshold)
            objects = make_objects(case, picture)
            with atomic_directory(self.out / str(header.SOPInstanceUID)) as folder:
                for name, dataset in objects.items():
                    dataset.save_as(folder / f"{name}.dcm", enforce_file_format=True)


def make_objects(case: Case, picture: Picture) -> dict[str, Dataset]:
    """Make all DICOM objects of an explained image.

    Args:
        case: The image and what the model sees in it.
        picture: The image as it is shown, ``(H, W, 3)``.

    Returns:
        The objects, by what their files are called.
    """
    from softcam.delivery.dicom.overlay import make_overlay
    from softcam.delivery.dicom.parametric_map import make_parametric_map
    from softcam.delivery.dicom.report import make_report
    from softcam.delivery.dicom.segmentation import make_segmentation

    overlays = {f"overlay-{number}": make_overlay(case, picture, index) for number, index in enumerate(case.shown, 1)}
    parametric_map = make_parametric_map(case)
    maps = {} if parametric_map is None else {"parametric-map": parametric_map}
    return {**overlays, "segmentation": make_segmentation(case), **maps, "report": make_report(case)}
