from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from scipy.stats import spearmanr
from torch import Tensor, nn
from torchvision.models import resnet18

from softcam.errors import ConfigError, DataError
from softcam.metrics.sanity import RankCorrelation, Sanity, randomisation, rank_correlation, weighted_layers


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 2, 3)).eval()


def evidence(model: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        return model(images)[:, 1] - model(images)[:, 0]


def brightness(_: nn.Module, images: Tensor) -> Tensor:
    return images[:, 0]


@settings(deadline=None, max_examples=60)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(2, 9)),
    decimals=st.integers(0, 4),
    seed=st.integers(0, 2**31),
)
def test_agrees_with_scipy_ties_included(shape, decimals, seed) -> None:
    generator = torch.Generator().manual_seed(seed)
    maps, noise = torch.randn(2, *shape, generator=generator)
    maps, others = maps.round(decimals=decimals), (maps + noise).round(decimals=decimals)
    maps[:, 0, 0], others[:, 0, 1] = 7, 8  # no map is constant
    pairs = zip(maps.flatten(1), others.flatten(1), strict=True)
    expected = [spearmanr(*pair).statistic for pair in pairs]
    np.testing.assert_allclose(rank_correlation(maps, others), expected, atol=1e-6)


def test_only_the_order_counts() -> None:
    maps, others = torch.randn(2, 3, 8, 9)
    torch.testing.assert_close(rank_correlation(maps.exp(), others), rank_correlation(maps, others))
    torch.testing.assert_close(rank_correlation(-maps, others), -rank_correlation(maps, others))
    torch.testing.assert_close(rank_correlation(maps, 3 * maps + 1), torch.ones(3))


def test_maps_without_an_order() -> None:
    maps, flat = torch.randn(1, 8, 9), torch.full((1, 8, 9), 0.3)
    rounded = flat * (1 + torch.finfo().eps * torch.randn(1, 8, 9).clamp(-2, 2))
    assert rank_correlation(maps, flat) == rank_correlation(rounded, maps) == 0
    assert rank_correlation(flat, rounded).isnan()
    for broken in (torch.nan, torch.inf):
        holed = maps.clone()
        holed[0, 2, 2] = broken
        assert rank_correlation(holed, maps).isnan()
        assert rank_correlation(flat, holed).isnan()


def test_layers_are_named_from_the_output_down() -> None:
    names = weighted_layers(resnet18(), torch.rand(1, 3, 32, 32))
    assert len(names) == 20 + 20 + 1
    assert (names[0], names[-2:]) == ("fc", ("bn1", "conv1"))
    assert names.index("layer4.1.bn2") < names.index("layer4.0.conv1") < names.index("layer1.0.conv1")


def test_what_is_used_first_is_randomised_last_wherever_it_is_registered() -> None:
    class Backwards(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head, self.stem, self.spare = nn.Linear(2, 2), nn.Linear(3, 2), nn.Linear(9, 9)
            self.scale = nn.Parameter(torch.ones(2))

        def forward(self, images: Tensor) -> Tensor:
            return self.scale * self.head(self.stem(images.mean(dim=(2, 3))))

    assert weighted_layers(Backwards(), torch.rand(1, 3, 4, 4)) == ("", "head", "stem")


def test_each_step_forgets_one_layer_more() -> None:
    model, seen = network(), []

    def record(model: nn.Module, images: Tensor) -> Tensor:
        seen.append(deepcopy(model.state_dict()))
        return evidence(model, images)

    before = deepcopy(model.state_dict())
    result = randomisation(record, model, torch.randn(2, 1, 16, 17))
    assert result.layers == ("3", "1", "0")
    assert result.correlations.shape == (2, 3)
    changed = [{name for name, value in state.items() if not torch.equal(value, before[name])} for state in seen]
    assert changed[:3] == [set(), {"3.weight", "3.bias"}, {"3.weight", "3.bias"}]  # BatchNorm is as it was made
    assert changed[3] == {"3.weight", "3.bias", "0.weight", "0.bias"}
    assert torch.equal(seen[2]["3.weight"], seen[3]["3.weight"])
    for name in ("0.weight", "3.weight"):
        torch.testing.assert_close(seen[3][name].std(), before[name].std(), rtol=0.25, atol=0)


def test_the_model_is_left_as_it_was() -> None:
    model = network()
    before = deepcopy(model.state_dict())
    randomisation(evidence, model, torch.randn(2, 1, 16, 16))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


def test_a_map_of_the_image_does_not_fall_and_one_of_the_model_does() -> None:
    images = torch.randn(4, 1, 24, 24, generator=torch.Generator().manual_seed(0))
    of_image = randomisation(brightness, network(), images).correlations
    assert (of_image > 0.9999).all()
    of_model = randomisation(evidence, network(), images)
    assert of_model.correlations[:, -1].abs().mean() < 0.5
    again = randomisation(evidence, network(), images)
    assert torch.equal(again.correlations, of_model.correlations)
    other = randomisation(evidence, network(), images, seed=1)
    assert not torch.equal(other.correlations, of_model.correlations)


def test_whole_stages_can_be_randomised_at_once() -> None:
    model = nn.Sequential(network(), nn.Conv2d(2, 2, 1)).eval()
    seen = []

    def record(model: nn.Module, images: Tensor) -> Tensor:
        seen.append(model[0][0].weight.clone())
        return evidence(model, images)

    result = randomisation(record, model, torch.randn(1, 1, 16, 16), layers=["1", "0"])
    assert result.layers == ("1", "0")
    assert torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[0], seen[2])


def test_layers_that_are_not_there_are_named() -> None:
    images = torch.randn(1, 1, 16, 16)
    with pytest.raises(ConfigError, match=r"the model has no layer 'layer4'; see softcam\.metrics\.weighted_layers"):
        randomisation(evidence, network(), images, layers=["layer4"])
    with pytest.raises(ConfigError, match="layer '2' has no weights to randomise; leave it out"):
        randomisation(evidence, network(), images, layers=["2"])
    with pytest.raises(DataError, match=r"got \(1, 14, 14\) and \(1, 16, 16\)"):
        rank_correlation(torch.rand(1, 14, 14), images[:, 0])


def test_classes_stream_the_mean() -> None:
    model, images = network(), torch.randn(5, 1, 16, 16)
    result = randomisation(evidence, model, images)
    metric, pairs = Sanity(result.layers), RankCorrelation()
    for part in (slice(0, 2), slice(2, 5)):
        metric.update(evidence, model, images[part])
        pairs.update(images[part, 0, 1:-1, 1:-1], images[part, 0, 2:, 2:])
    torch.testing.assert_close(metric.compute(), result.correlations.mean(dim=0))
    expected = rank_correlation(images[:, 0, 1:-1, 1:-1], images[:, 0, 2:, 2:]).mean()
    torch.testing.assert_close(pairs.compute(), expected)
