"""What DICOM objects are made of: an image's header, what the model sees in it, and which model that is."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from softcam import __version__
from softcam.model.checkpoint import ModelCard
from softcam.reporting.record import ImageEvidence
from softcam.reporting.selection import Shown

SCHEME = "99SOFTCAM"
"""Designator of the codes that no standard has."""

MANUFACTURER = "softcam"


@dataclass(frozen=True, eq=False)
class Case:
    """An explained DICOM image.

    Attributes:
        header: Of the image, as `softcam.delivery.dicom.source.read_header` gives it.
        card: Of the model.
        evidence: What the model sees.
        shown: Indices of the outputs whose maps are delivered.
        kind: Which maps ``evidence.shown`` are.
        limit: Logits at full colour.
        threshold: Logits from which on a place belongs to a segment.
    """

    header: Dataset
    card: ModelCard
    evidence: ImageEvidence
    shown: tuple[int, ...]
    kind: Shown
    limit: float
    threshold: float

    @property
    def model(self) -> str:
        """What tells this model from others: a short hash of its card."""
        return hashlib.sha256(self.card.to_json().encode()).hexdigest()[:16]

    @property
    def names(self) -> tuple[str, ...]:
        """The class that each output speaks for."""
        return self.card.output_names

    def maps(self) -> NDArray[np.float32]:
        """Return the maps to deliver, ``(S, h, w)`` in logits, as the model gives them."""
        return self.evidence.shown[list(self.shown)]

    def resampled(self) -> NDArray[np.float32]:
        """Return the maps to deliver at the size of the image, ``(S, H, W)`` in logits (bilinear).

        The network saw the whole image, resized; so its map covers the whole image, and one resampling from cells to
        pixels undoes that.
        """
        size = (int(self.header.Rows), int(self.header.Columns))
        maps = torch.from_numpy(np.ascontiguousarray(self.maps()))[None]
        fine = torch.nn.functional.interpolate(maps, size, mode="bilinear", align_corners=False)
        result: NDArray[np.float32] = fine[0].numpy()
        return result

    def meaning(self, index: int) -> str:
        """Say what the map of an output shows."""
        return f"{self.kind} evidence for {self.names[index]} in logits"

    def uid(self, what: str, *content: bytes) -> str:
        """Return a UID of an object about this image.

        It follows from the image, the model and the content (RFC 9562, UUID version 5; DICOM PS3.5 B.2), so that the
        same explanation made twice is the same object to an archive, and another one never is.
        """
        return _uid(self.header.SOPInstanceUID, what, self._origin(), *content)

    def series_uid(self, what: str) -> str:
        """Return the UID of the series into which objects of one kind about images of one series go."""
        return _uid(self.header.SeriesInstanceUID, what, self._origin())

    def place(self, what: str, number: int, *content: bytes) -> dict[str, Any]:
        """Return what highdicom wants to know of where an object belongs and of what made it.

        Args:
            what: Kind of the object.
            number: Number of the kind; the series gets that of the image's series and this number behind it.
            content: What the object says.
        """
        return {
            "series_instance_uid": self.series_uid(what),
            "series_number": 100 * int(self.header.get("SeriesNumber") or 0) + number,
            "sop_instance_uid": self.uid(what, *content),
            "instance_number": int(self.header.get("InstanceNumber") or 1),
            "series_description": f"softcam {what}",
            "manufacturer": MANUFACTURER,
            "manufacturer_model_name": self.card.backbone[:64],
            "software_versions": __version__,
            "device_serial_number": self.model,
        }

    def _origin(self) -> str:
        return f"{self.card.to_json()} {self.kind} {__version__}"


def _uid(origin: str, what: str, *parts: str | bytes) -> str:
    texts = [part if isinstance(part, bytes) else part.encode() for part in parts]
    digest = hashlib.sha256(b"\0".join([str(origin).encode(), what.encode(), *texts])).hexdigest()
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, digest).int}"
