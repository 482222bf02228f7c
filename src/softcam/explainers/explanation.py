"""What every explainer takes and gives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

from softcam.errors import ConfigError
from softcam.explainers.undisturbed import undisturbed
from softcam.metrics.localization import upsample_maps


@dataclass(frozen=True, eq=False)
class Explanation:
    """Maps of a batch of images, and what they cost.

    Attributes:
        maps: ``(N, H, W)`` float32 at the size of the images, for the class asked of each; of any sign where the
            method is signed. A method that fails numerically gives NaN, and it stays NaN.
        map_size: Resolution ``(h, w)`` at which the method speaks; the size of the images for methods that speak
            of pixels.
        forward_passes: Cost per image in forward passes of the network; a backward pass counts two.
    """

    maps: Tensor
    map_size: tuple[int, int]
    forward_passes: float

    @classmethod
    def from_pixels(cls, maps: Tensor, forward_passes: float) -> Explanation:
        """Return the explanation of a method that gives maps ``(N, H, W)`` at the size of the images."""
        return cls(maps.detach().float(), (maps.shape[1], maps.shape[2]), forward_passes)

    @classmethod
    def from_cells(cls, cells: Tensor, images: Tensor, forward_passes: float) -> Explanation:
        """Return the explanation of a method that gives maps ``(N, h, w)``; bilinear at the size of ``images``."""
        maps = upsample_maps(cells.detach().float(), (images.shape[2], images.shape[3]))
        return cls(maps, (cells.shape[1], cells.shape[2]), forward_passes)


class Explainer(Protocol):
    """Says where the evidence for a class lies; made for one model by :func:`~softcam.explainers.build_explainer`.

    Attributes:
        name: What tables call it.
    """

    name: str

    def __call__(self, images: Tensor, classes: Tensor) -> Explanation:
        """Explain images ``(N, C, H, W)``, each for the output of the model that ``classes`` (N,) int64 names."""
        ...


class ModelExplainer(ABC):
    """An explainer that leaves its model as it was (:func:`~softcam.explainers.undisturbed.undisturbed`).

    Subclasses implement ``_explain``, which runs in eval mode, with autograd on, on a copy of the images.

    Args:
        name: What tables call it.
        model: A classifier, images ``(N, C, H, W)`` to logits ``(N, K)``.
    """

    def __init__(self, name: str, model: nn.Module) -> None:
        self.name = name
        self.model = model

    def __call__(self, images: Tensor, classes: Tensor) -> Explanation:
        """Explain images ``(N, C, H, W)``, each for the output of the model that ``classes`` (N,) int64 names.

        Raises:
            ConfigError: The shapes do not fit each other, or the model has no such output.
        """
        check_batch(images, classes)
        with undisturbed(self.model):
            return self._explain(images.detach().clone(), classes.to(images.device).clone())

    @abstractmethod
    def _explain(self, images: Tensor, classes: Tensor) -> Explanation: ...

    def _classifier(self, classes: Tensor) -> Callable[[Tensor], Tensor]:
        """Return the model as a function, images to logits, that has an output for each of ``classes``."""

        def logits(images: Tensor) -> Tensor:
            return check_logits(self.model(images), classes)

        return logits


def check_batch(images: Tensor, classes: Tensor) -> None:
    """Raise ``ConfigError`` unless there is a class for each of one or more images ``(N, C, H, W)``."""
    if images.dim() != 4 or not len(images):
        raise ConfigError(f"an explainer takes images (N, C, H, W) with N of at least 1, got {tuple(images.shape)}")
    if classes.shape != images.shape[:1] or classes.is_floating_point():
        raise ConfigError(
            f"an explainer takes one class index for each of the {len(images)} images, "
            f"got {classes.dtype} of shape {tuple(classes.shape)}"
        )


def check_logits(logits: object, classes: Tensor) -> Tensor:
    """Return ``logits``, once they are known to be ``(N, K)`` and to hold every class asked for."""
    if not isinstance(logits, Tensor) or logits.dim() != 2:
        got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ConfigError(f"the model gives {got}; an explainer needs logits (N, K): wrap the model so that it does")
    lowest, highest = int(classes.min()), int(classes.max())
    if lowest < 0 or highest >= logits.shape[1]:
        wrong = lowest if lowest < 0 else highest
        raise ConfigError(f"there is no class {wrong}: the model has {logits.shape[1]} outputs, counted from 0")
    return logits


def of_class(values: Tensor, classes: Tensor) -> Tensor:
    """Choose from ``values`` (N, K, ...) those of each image's class, ``(N, ...)``."""
    index = classes.view(-1, 1, *[1] * (values.dim() - 2)).expand(-1, 1, *values.shape[2:])
    return values.gather(1, index).squeeze(1)
