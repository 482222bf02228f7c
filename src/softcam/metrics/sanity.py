"""Does a map depend on what the model has learned? Its weights are replaced by random ones, layer by layer.

The cascading randomisation of `Adebayo et al. 2018 <https://arxiv.org/abs/1810.03292>`_, section 4.1: from the output
down to the input, one layer after the other loses what it has learned, and after each the map is compared with that of
the trained model. The correlation must fall. A map that stays much the same, as an edge detector's does, explains the
image and not the model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from softcam.errors import ConfigError, DataError
from softcam.metrics.streaming import ImageMean, ScoreMean
from softcam.metrics.validation import rounding_error

ModelExplanation: TypeAlias = Callable[[nn.Module, Tensor], Tensor]
"""A model and images ``(N, C, H, W)`` to maps ``(N, h, w)`` of fixed classes. An explainer that is made for one model,
and copies its weights, has to be made anew at each call."""


@dataclass(frozen=True, eq=False)
class Randomisation:
    """How maps change while a model forgets.

    Attributes:
        layers: Names of the layers in the order in which they were randomised, from the output down.
        correlations: ``(N, L)`` in [-1, 1]: rank correlation of each image's map with that of the trained model, after
            the layer and all before it were randomised; NaN as for :func:`rank_correlation`.
    """

    layers: tuple[str, ...]
    correlations: Tensor


def randomisation(
    explain: ModelExplanation,
    model: nn.Module,
    images: Tensor,
    *,
    layers: Sequence[str] | None = None,
    seed: int = 0,
) -> Randomisation:
    """Randomise a copy of a model from the output down and compare its maps with those of the model.

    The weights and biases of a layer are drawn from a normal distribution with the mean and the standard deviation of
    those they replace, tensor by tensor, so that activations keep their scale whatever the layer is. Running averages
    stay. The model itself is not touched.

    Args:
        explain: A model and images to maps.
        model: The trained model.
        images: ``(N, C, H, W)``.
        layers: Names of modules, from the output down; each is randomised with all that it holds. By default
            :func:`weighted_layers`.
        seed: Of the weights; the same for every batch.

    Returns:
        The correlations. The cost is one explanation of the images, and one for each layer.

    Raises:
        ConfigError: The model has no such layer, or one without weights.
        DataError: The maps are not ``(N, h, w)``.

    Example:
        >>> model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Conv2d(2, 1, 3))
        >>> result = randomisation(lambda model, images: model(images)[:, 0], model, torch.randn(2, 1, 32, 32))
        >>> result.layers, result.correlations.shape
        (('1', '0'), torch.Size([2, 2]))
    """
    names = weighted_layers(model, images[:1]) if layers is None else tuple(layers)
    forgetful = deepcopy(model)
    modules = [_layer(forgetful, name) for name in names]
    generator = torch.Generator().manual_seed(seed)
    learned = explain(model, images)
    correlations = []
    for module in modules:
        _randomise(module, generator)
        correlations.append(rank_correlation(explain(forgetful, images), learned))
    return Randomisation(names, torch.stack(correlations, dim=1))


def weighted_layers(model: nn.Module, images: Tensor) -> tuple[str, ...]:
    """Name the modules that have weights of their own and are used, from the output down to the input.

    Args:
        model: A network; it is copied and run once.
        images: That it accepts, ``(N, C, H, W)``.

    Example:
        >>> model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(2, 2))
        >>> weighted_layers(model, torch.rand(1, 1, 3, 3))
        ('3', '0')
    """
    copied = deepcopy(model).eval()
    called: dict[str, None] = {}
    with ExitStack() as stack:
        for name, module in copied.named_modules():
            if next(module.parameters(recurse=False), None) is not None:
                handle = module.register_forward_hook(lambda *_, name=name: called.setdefault(name))
                stack.callback(handle.remove)
        with torch.no_grad():
            copied(images)
    return tuple(reversed(called))


def rank_correlation(maps: Tensor, others: Tensor) -> Tensor:
    """Spearman's rank correlation of the cells of two maps, equal cells given their mean rank.

    A map that is constant, up to rounding, has no order: its correlation with one that has is 0, as it would be on
    average if the order of equal cells were drawn at random.

    Args:
        maps: ``(N, h, w)``.
        others: ``(N, h, w)``.

    Returns:
        ``(N,)`` in [-1, 1]; NaN where both maps are constant or either is not finite.

    Raises:
        DataError: The shapes are not the same ``(N, h, w)``.

    Example:
        >>> maps = torch.tensor([[[1.0, 2.0, 3.0, 4.0]]])
        >>> rank_correlation(maps, maps.exp()), rank_correlation(maps, torch.tensor([[[2.0, 2.0, 1.0, 1.0]]]))
        (tensor([1.]), tensor([-0.8944]))
    """
    if maps.ndim != 3 or maps.shape != others.shape:
        raise DataError(f"maps must have one shape (N, h, w), got {tuple(maps.shape)} and {tuple(others.shape)}")
    ranks, other_ranks = _centred_ranks(maps), _centred_ranks(others)
    lengths = ranks.norm(dim=1), other_ranks.norm(dim=1)
    product = lengths[0] * lengths[1]
    correlation: Tensor = (ranks * other_ranks).sum(dim=1) / product.where(product != 0, 1)
    has_order = (lengths[0] > 0) | (lengths[1] > 0)
    return correlation.clamp(-1, 1).where(has_order, torch.nan).float()


class RankCorrelation(ImageMean):
    """Mean :func:`rank_correlation` over images; ``truth`` is the other map of each, ``(N, h, w)``."""

    plot_lower_bound = -1.0

    def _score(self, maps: Tensor, truth: Tensor) -> Tensor:
        return rank_correlation(maps, truth)


class Sanity(ScoreMean):
    """Mean correlations of :func:`randomisation` over images, ``(L,)``; they must fall.

    Args:
        layers: Names of modules, from the output down; :func:`weighted_layers` finds them.
        seed: Of the weights.
        **settings: Settings of :class:`torchmetrics.Metric`.

    Example:
        >>> metric = Sanity(["1", "0"])
        >>> model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Conv2d(2, 1, 3))
        >>> metric.update(lambda model, images: images[:, 0], model, torch.randn(2, 1, 32, 32))
        >>> metric.compute()
        tensor([1., 1.])
    """

    higher_is_better = False
    plot_lower_bound = -1.0

    def __init__(self, layers: Sequence[str], *, seed: int = 0, **settings: Any) -> None:
        self.layers, self.seed = tuple(layers), seed
        super().__init__(**settings)

    def _score_shape(self) -> tuple[int, ...]:
        return (len(self.layers),)

    def update(self, explain: ModelExplanation, model: nn.Module, images: Tensor) -> None:
        """Add a batch.

        Args:
            explain: A model and images to maps ``(N, h, w)``.
            model: The trained model.
            images: ``(N, C, H, W)``.
        """
        with torch.enable_grad():
            self._add(randomisation(explain, model, images, layers=self.layers, seed=self.seed).correlations)


def _layer(model: nn.Module, name: str) -> nn.Module:
    try:
        layer = model.get_submodule(name)
    except AttributeError as error:
        raise ConfigError(f"the model has no layer {name!r}; see softcam.metrics.weighted_layers") from error
    if next(layer.parameters(), None) is None:
        raise ConfigError(f"layer {name!r} has no weights to randomise; leave it out")
    return layer


@torch.no_grad()
def _randomise(module: nn.Module, generator: torch.Generator) -> None:
    for weights in module.parameters():
        drawn = torch.randn(weights.shape, generator=generator).to(weights)
        weights.copy_(weights.mean() + weights.std(unbiased=False) * drawn)


def _centred_ranks(maps: Tensor) -> Tensor:
    """Rank cells, equal ones at their mean rank, with the mean of all ranks at 0: float64 ``(N, P)``."""
    flat = maps.detach().flatten(1).to(torch.promote_types(maps.dtype, torch.float32))
    values, order = flat.sort(dim=1)
    places = torch.arange(values.shape[1], device=values.device).expand_as(values)
    first, last = _run_ends(values, places)
    ranks = torch.empty_like(values, dtype=torch.float64).scatter_(1, order, (first + last).double() / 2)
    constant = values[:, -1:] - values[:, :1] <= rounding_error(flat)
    centred = (ranks - (values.shape[1] - 1) / 2).where(~constant, 0)
    return centred.where(flat.isfinite().all(dim=1, keepdim=True), torch.nan)


def _run_ends(values: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """Find for each of sorted values the first and the last place of the run of equal values it lies in."""
    changes = values[:, 1:] != values[:, :-1]
    edge = changes.new_ones(len(values), 1)
    first = places.where(torch.cat([edge, changes], dim=1), 0).cummax(dim=1).values
    last = places.where(torch.cat([changes, edge], dim=1), values.shape[1]).flip(1).cummin(dim=1).values.flip(1)
    return first, last
