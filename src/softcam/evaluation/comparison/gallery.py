"""The maps of the few images that figures show, kept on disk; no other map is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from softcam.files import atomic_path

_LONGEST_SIDE = 288  # pixels


@dataclass(frozen=True)
class MapFolder:
    """Maps by model, explainer and image, ``(h, w)`` float32 with a longer side of at most 288 px.

    Attributes:
        path: The folder.
    """

    path: Path

    def save(self, model: str, explainer: str, image: int, image_map: Tensor) -> None:
        """Keep a map ``(H, W)``."""
        height, width = image_map.shape
        factor = min(1.0, _LONGEST_SIDE / max(height, width))
        size = (max(1, round(height * factor)), max(1, round(width * factor)))
        with atomic_path(self._file(model, explainer, image)) as path:
            np.save(path, F.interpolate(image_map[None, None], size, mode="area")[0, 0].cpu().numpy())

    def load(self, model: str, explainer: str, image: int) -> NDArray[np.float32] | None:
        """Return a map; None where the explainer has failed on the image."""
        path = self._file(model, explainer, image)
        return np.load(path, allow_pickle=False) if path.is_file() else None

    def _file(self, model: str, explainer: str, image: int) -> Path:
        return self.path / safe_name(model) / safe_name(explainer) / f"{image}.npy"


def safe_name(name: str) -> str:
    """Return a name that every file system takes, different for different names."""
    return quote(name, safe=" +")
