r"""Does a cell of the map speak of its own place? And do the cells add up to the decision?

**Locality.** Take two images and a rectangle :math:`m`, compose :math:`x = m\,x_a + (1-m)\,x_b`, and see how
far the map composes as the image does:

.. math:: 1 - \frac{\mathrm{mean}|A(x) - (m A(x_a) + (1-m) A(x_b))|}{\mathrm{mean}|m A(x_a) + (1-m) A(x_b)|}

1 where every cell depends on its own place only; 0 and below where what a cell says hangs on the rest of the
image. Not to be confused with completeness, which a map that speaks of the wrong places can have.

**What it does not see.** A part of the map that is the same for every image composes perfectly: an offset,
such as the bias of the evidence layer, leaves the numerator as it is and raises the denominator, and so moves
the score towards 1. Give it the contrast map without the bias. A map that is constant over the image and much
the same for all images looks local for the same reason; its pointing game does not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import Metric

from softcam.errors import ConfigError, DataError
from softcam.metrics.validation import require_finite

EvidenceFunction: TypeAlias = Callable[[Tensor], Tensor]
"""Images ``(N, C, H, W)`` to maps ``(N, K, h, w)``: the contrast of a SoftCAM, or any explainer."""


def locality(
    evidence_of: EvidenceFunction,
    images: Tensor,
    *,
    rounds: int = 1,
    grid: tuple[int, int] | None = None,
    seed: int = 0,
) -> Tensor:
    """Score how far a map composes as its image does (the formula is at the head of this module).

    Costs one map per image and one per mixed image and round.

    Args:
        evidence_of: Images ``(N, C, H, W)`` to maps ``(N, K, h, w)``; give the contrast, without the bias.
        images: At least two, ``(N, C, H, W)``. Each is the ``x_a`` of one pair per round.
        rounds: Number of pairs and rectangles per image.
        grid: Cells ``(rows, columns)`` to which rectangles are aligned; it must divide the map. The map's own
            cells by default; name the coarsest grid to compare maps of different resolution on the same
            rectangles.
        seed: Seed of pairs and rectangles.

    Returns:
        A scalar, at most 1; NaN if the maps are zero everywhere.

    Raises:
        DataError: If there are fewer than two images, or the maps are not finite ``(N, K, h, w)``.
        ConfigError: If ``rounds`` is below 1, or ``grid`` does not divide the map or holds a single cell.

    Example:
        >>> images = torch.randn(4, 3, 16, 16)
        >>> locality(lambda x: F.avg_pool2d(x, 4), images)
        tensor(1.)
    """
    residual, reference = locality_terms(evidence_of, images, rounds=rounds, grid=grid, seed=seed)
    return 1 - residual.sum() / reference.sum()


def locality_terms(
    evidence_of: EvidenceFunction,
    images: Tensor,
    *,
    rounds: int = 1,
    grid: tuple[int, int] | None = None,
    seed: int = 0,
) -> tuple[Tensor, Tensor]:
    """Compute the numerator and the denominator of the locality per image, to bootstrap their ratio.

    Args:
        evidence_of: As for :func:`locality`.
        images: As for :func:`locality`.
        rounds: As for :func:`locality`.
        grid: As for :func:`locality`.
        seed: As for :func:`locality`.

    Returns:
        Two ``(N,)``, both of the pairs in which image i is ``x_a``: the mean absolute difference of the mixed
        image's map to the composed map, and the mean absolute composed map.

    Raises:
        DataError: As for :func:`locality`.
        ConfigError: As for :func:`locality`.

    Example:
        >>> residual, reference = locality_terms(lambda x: F.avg_pool2d(x, 4), torch.ones(4, 3, 16, 16))
        >>> residual, reference
        (tensor([0., 0., 0., 0.]), tensor([1., 1., 1., 1.]))
    """
    if len(images) < 2:
        raise DataError("locality mixes pairs: give it at least two images")
    if rounds < 1:
        raise ConfigError(f"locality needs at least one round, got rounds={rounds}")
    generator = torch.Generator().manual_seed(seed)
    maps = _evidence(evidence_of, images)
    grid = _checked_grid(grid, (maps.shape[2], maps.shape[3]))
    residual, reference = maps.new_zeros(len(maps)), maps.new_zeros(len(maps))
    for _ in range(rounds):
        partner = _partners(len(images), generator).to(images.device)
        inside = _rectangles(len(images), grid, generator).to(images.device)
        mixed = torch.where(_enlarge(inside, images.shape), images, images[partner])
        composed = torch.where(_enlarge(inside, maps.shape), maps, maps[partner])
        residual += (_evidence(evidence_of, mixed) - composed).abs().mean(dim=(1, 2, 3))
        reference += composed.abs().mean(dim=(1, 2, 3))
    return residual / rounds, reference / rounds


class Locality(Metric):
    """Locality (:func:`locality`) of a whole data set, streamed as two sums.

    A batch of one image holds no pair and adds nothing. Gradients are on within ``evidence_of``, because some
    explainers need them: wrap one that does not in ``torch.inference_mode()``.

    Args:
        rounds: Number of pairs and rectangles per image.
        grid: Cells to which rectangles are aligned; the map's own by default.
        seed: Seed of pairs and rectangles; each batch draws its own.
        **settings: Settings of :class:`torchmetrics.Metric`.

    Example:
        >>> metric = Locality()
        >>> metric.update(lambda x: F.avg_pool2d(x, 4), torch.randn(4, 3, 16, 16))
        >>> metric.compute()
        tensor(1.)
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    residual: Tensor
    reference: Tensor

    def __init__(self, *, rounds: int = 1, grid: tuple[int, int] | None = None, seed: int = 0, **settings: Any) -> None:
        super().__init__(**settings)
        self.rounds, self.grid, self.seed = rounds, grid, seed
        self.add_state("residual", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("reference", torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, evidence_of: EvidenceFunction, images: Tensor) -> None:
        """Add a batch.

        Args:
            evidence_of: Images ``(N, C, H, W)`` to maps ``(N, K, h, w)``.
            images: ``(N, C, H, W)``.
        """
        if len(images) < 2:
            return
        with torch.enable_grad():
            residual, reference = locality_terms(
                evidence_of, images, rounds=self.rounds, grid=self.grid, seed=self.seed + self.update_count
            )
        self.residual += residual.sum()
        self.reference += reference.sum()

    def compute(self) -> Tensor:
        """Return the locality so far, NaN before the first pair."""
        return 1 - self.residual / self.reference


def completeness_error(maps: Tensor, logits: Tensor) -> Tensor:
    """Largest difference between the mean of a map and the logit it explains.

    Below 1e-4 for a SoftCAM in float32; for other explainers it says how far their map is from an account of
    the decision.

    Args:
        maps: ``(N, K, h, w)``, the bias included (``model(x, return_evidence=True)``).
        logits: ``(N, K)``.

    Returns:
        A scalar in logits.

    Raises:
        DataError: If the shapes do not go together.

    Example:
        >>> completeness_error(torch.tensor([[[[1.0, 3.0]]]]), torch.tensor([[2.5]]))
        tensor(0.5000)
    """
    if maps.ndim != 4 or maps.shape[:2] != logits.shape:
        raise DataError(
            f"maps {tuple(maps.shape)} and logits {tuple(logits.shape)} must be (N, K, h, w) and (N, K) of the same "
            "images and classes"
        )
    return (maps.float().mean(dim=(2, 3)) - logits.float()).abs().max()


class Completeness(Metric):
    """Largest :func:`completeness_error` of a data set, in logits.

    Example:
        >>> metric = Completeness()
        >>> metric.update(torch.tensor([[[[1.0, 3.0]]]]), torch.tensor([[2.5]]))
        >>> metric.compute()
        tensor(0.5000)
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False

    largest: Tensor

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.add_state("largest", torch.tensor(0.0), dist_reduce_fx="max")

    def update(self, maps: Tensor, logits: Tensor) -> None:
        """Add a batch of maps ``(N, K, h, w)``, bias included, and their logits ``(N, K)``."""
        self.largest = torch.maximum(self.largest, completeness_error(maps, logits))

    def compute(self) -> Tensor:
        """Return the largest error so far."""
        return self.largest


def _evidence(evidence_of: EvidenceFunction, images: Tensor) -> Tensor:
    maps = evidence_of(images).detach().float()
    if maps.ndim != 4 or len(maps) != len(images):
        raise DataError(f"locality needs maps (N, K, h, w), got {tuple(maps.shape)} for {len(images)} images")
    require_finite(maps)
    return maps


def _checked_grid(grid: tuple[int, int] | None, map_size: tuple[int, int]) -> tuple[int, int]:
    grid = grid or map_size
    if grid == (1, 1) or any(side < 1 or cells % side for side, cells in zip(grid, map_size, strict=True)):
        raise ConfigError(
            f"locality can't cut a map of {map_size[0]}×{map_size[1]} cells by a grid of {grid[0]}×{grid[1]}: "
            "the grid must divide the map and hold at least two cells"
        )
    return grid


def _partners(count: int, generator: torch.Generator) -> Tensor:
    """Draw a partner for each image, never itself: neighbours on a random circle."""
    circle = torch.randperm(count, generator=generator)
    return torch.empty_like(circle).scatter_(0, circle, circle.roll(1))


def _rectangles(count: int, grid: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Draw ``(count, 1, *grid)`` rectangles, each side uniform, never the whole grid."""
    rows, columns = (_spans(count, cells, generator) for cells in grid)
    return (rows[:, :, None] & columns[:, None, :])[:, None]


def _spans(count: int, cells: int, generator: torch.Generator) -> Tensor:
    longest = max(cells - 1, 1)
    length = torch.randint(1, longest + 1, (count, 1), generator=generator)
    start = (torch.rand(count, 1, generator=generator) * (cells - length + 1)).long()
    position = torch.arange(cells)
    return (position >= start) & (position < start + length)


def _enlarge(cells: Tensor, shape: torch.Size) -> Tensor:
    return F.interpolate(cells.float(), size=shape[-2:], mode="nearest-exact").bool()
