"""The checks of maps against masks, at the edge of every localization metric."""

from __future__ import annotations

import torch
from torch import Tensor

from softcam.errors import DataError

_ROUNDING = 8


def require_finite(maps: Tensor) -> None:
    """Raise ``DataError`` where ``maps`` (N, ...) hold NaN or infinity, with the first such image's index."""
    if not maps.isfinite().all():
        image = int((~maps.isfinite()).flatten(1).any(dim=1).nonzero()[0])
        raise DataError(
            f"the map of image {image} of the batch holds NaN or infinity: leave that image out or mend its explainer"
        )


def checked_shapes(maps: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Validate the form of maps and their annotation masks, and leave it open whether the maps are finite.

    Args:
        maps: Scored maps ``(N, H, W)``, of any sign.
        masks: Annotations ``(N, H, W)``, bool, true inside.

    Returns:
        The maps in float32 at least, and the masks.

    Raises:
        DataError: If the shapes differ or are not ``(N, H, W)``, or the masks are not bool.
    """
    if maps.ndim != 3 or maps.shape != masks.shape:
        raise DataError(
            f"maps {tuple(maps.shape)} and masks {tuple(masks.shape)} must have one shape (N, H, W): "
            "bring the maps to the size of the masks with upsample_maps"
        )
    if masks.dtype is not torch.bool:
        raise DataError(f"masks must be bool, got {masks.dtype}: pass masks > 0")
    return maps.to(torch.promote_types(maps.dtype, torch.float32)), masks


def checked_pair(maps: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Validate maps and their annotation masks, as :func:`checked_shapes` does, and that the maps are finite.

    Raises:
        DataError: If the shapes differ or are not ``(N, H, W)``, the masks are not bool, or a map is not
            finite.
    """
    maps, masks = checked_shapes(maps, masks)
    require_finite(maps)
    return maps, masks


def rounding_error(flat: Tensor) -> Tensor:
    """Return the difference ``(N, 1)`` below which values of ``flat`` (N, P) count as equal.

    A constant map that was upsampled is constant only up to rounding; without this, its "maximum" would be an
    accident of the arithmetic.
    """
    return _ROUNDING * torch.finfo(flat.dtype).eps * flat.abs().amax(dim=1, keepdim=True)


def annotated_only(values: Tensor, masks: Tensor) -> Tensor:
    """Put NaN in ``values`` (N, ...) where an image's mask is empty: there is nothing to be found."""
    annotated = masks.flatten(1).any(dim=1).reshape(-1, *[1] * (values.ndim - 1))
    return values.where(annotated, torch.nan)
