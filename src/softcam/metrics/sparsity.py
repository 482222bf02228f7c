"""How much of a map is empty."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from softcam.metrics.validation import require_finite


def hoyer_sparsity(maps: Tensor) -> Tensor:
    """Return Hoyer's sparseness of each map: 1 where a single cell is not zero, 0 where all are equally far from it.

    ``(√n − ‖A‖₁ / ‖A‖₂) / (√n − 1)`` over the ``n`` cells (Hoyer, *Non-negative matrix factorization with sparseness
    constraints*, JMLR 2004, section 3.1). Unlike a share of cells below a threshold it needs no threshold, and unlike
    the L1 norm it does not change with the scale of a map, so that evidence is not called sparse for being weak.

    Args:
        maps: ``(N, ..., h, w)``, of any sign.

    Returns:
        ``(N, ...)`` in [0, 1], in float32 at least; NaN for a map that is zero everywhere or a single cell.

    Raises:
        DataError: A map is not finite.

    Example:
        >>> hoyer_sparsity(torch.tensor([[[0.0, 0.0], [0.0, -3.0]], [[1.0, -1.0], [1.0, 1.0]]]))
        tensor([1., 0.])
    """
    require_finite(maps)
    cells = maps.to(torch.promote_types(maps.dtype, torch.float32)).flatten(-2)
    count = cells.shape[-1]
    if count == 1:
        return torch.full_like(cells[..., 0], torch.nan)
    ratio: Tensor = cells.abs().sum(dim=-1) / cells.square().sum(dim=-1).sqrt()
    return ((math.sqrt(count) - ratio) / (math.sqrt(count) - 1)).clamp(0, 1)
