from __future__ import annotations

import pytest
import torch

import softcam
from softcam.explainers.controls import RandomMap, UniformMap
from tests.explainers.networks import batch

ZEROS = torch.zeros(4, dtype=torch.int64)


def test_noise_is_uniform_and_independent_between_images() -> None:
    maps = RandomMap("random")(batch(4, (64, 64)), ZEROS).maps
    assert maps.min() >= 0
    assert maps.max() < 1
    assert maps.mean() == pytest.approx(0.5, abs=0.02)
    assert maps.var() == pytest.approx(1 / 12, abs=0.005)
    correlations = torch.corrcoef(maps.flatten(1)) - torch.eye(4)
    assert correlations.abs().max() < 0.08


def test_noise_follows_the_image_and_the_seed_alone() -> None:
    images = batch(4)
    maps = RandomMap("random", seed=5)(images, ZEROS).maps
    assert torch.equal(RandomMap("random", seed=5)(images.flip(0), ZEROS).maps, maps.flip(0))
    assert torch.equal(RandomMap("random", seed=5)(images.double(), ZEROS + 1).maps, maps)
    assert not torch.equal(RandomMap("random", seed=-5)(images, ZEROS).maps, maps)


def test_a_uniform_map_costs_nothing() -> None:
    explanation = UniformMap("uniform")(batch(4, (5, 7)), ZEROS)
    assert torch.equal(explanation.maps, torch.ones(4, 5, 7))
    assert (explanation.map_size, explanation.forward_passes) == ((5, 7), 0)


@pytest.mark.parametrize("control", [RandomMap("random"), UniformMap("uniform")])
def test_controls_take_what_explainers_take(control: RandomMap | UniformMap) -> None:
    with pytest.raises(softcam.ConfigError, match="one class index for each of the 4 images"):
        control(batch(4), torch.zeros(3, dtype=torch.int64))
