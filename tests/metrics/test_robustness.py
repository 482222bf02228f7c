from __future__ import annotations

import pytest
import torch
from captum.metrics import sensitivity_max
from hypothesis import given, settings, strategies as st
from torch import Tensor

from softcam.errors import ConfigError, DataError
from softcam.metrics.robustness import MaxSensitivity, max_sensitivity


def squared(images: Tensor) -> Tensor:
    return images.square().sum(dim=1)


def noises(shape: tuple[int, ...], radius: float, draws: int, seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [radius * (2 * torch.rand(shape, generator=generator) - 1) for _ in range(draws)]


@settings(deadline=None, max_examples=30)
@given(
    shape=st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 8), st.integers(1, 8)),
    draws=st.integers(1, 5),
    radius=st.floats(0.01, 1),
    seed=st.integers(0, 2**31),
)
def test_agrees_with_captum_on_the_same_noise(shape, draws, radius, seed) -> None:
    images = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    drawn = torch.stack(noises(shape[1:], radius, draws, seed))

    def perturb(repeated: Tensor) -> Tensor:
        return repeated + drawn.repeat(len(images), 1, 1, 1)

    def explain(inputs: Tensor | tuple[Tensor]) -> tuple[Tensor]:
        return (squared(inputs[0] if isinstance(inputs, tuple) else inputs),)

    expected = sensitivity_max(explain, images, perturb, n_perturb_samples=draws, norm_ord=2)
    found = max_sensitivity(squared, images, radius=radius, draws=draws, seed=seed)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_a_linear_map_changes_as_much_as_its_image() -> None:
    images = torch.randn(3, 1, 6, 7)
    longest = max(noise.norm() for noise in noises((1, 6, 7), 0.3, 4, seed=2))
    expected = longest / images.flatten(1).norm(dim=1)
    found = max_sensitivity(lambda x: -5 * x[:, 0], images, radius=0.3, draws=4, seed=2)
    torch.testing.assert_close(found, expected)


def test_the_largest_change_grows_with_draws_and_stays_within_the_ball() -> None:
    images, seen = torch.zeros(2, 3, 5, 4), []

    def explain(images: Tensor) -> Tensor:
        seen.append(images)
        return 1 + images.sum(dim=1)

    few, many = (max_sensitivity(explain, images, radius=0.5, draws=draws) for draws in (2, 8))
    assert (many >= few).all()
    assert len(seen) == 2 + 1 + 8 + 1
    assert 0.45 < torch.stack(seen).abs().max() <= 0.5


def test_the_score_does_not_depend_on_the_batch() -> None:
    images = torch.randn(4, 2, 6, 6)
    together = max_sensitivity(squared, images)
    alone = torch.cat([max_sensitivity(squared, image[None]) for image in images])
    torch.testing.assert_close(together, alone)


def test_a_map_that_ignores_the_image_is_robust_and_an_empty_one_undefined() -> None:
    images = torch.randn(2, 2, 6, 6)
    assert max_sensitivity(lambda x: torch.ones_like(x[:, 0]), images).tolist() == [0, 0]
    assert max_sensitivity(lambda x: torch.zeros_like(x[:, 0]), images).isnan().all()
    assert max_sensitivity(lambda x: (x - images).abs().sum(dim=1), images).isnan().all()
    assert (max_sensitivity(lambda x: -squared(x), images) > 0).all()


def test_a_map_that_is_not_finite_spoils_its_own_image_only() -> None:
    images = torch.randn(3, 2, 6, 6)
    for broken in (torch.nan, torch.inf):
        for first in (True, False):
            calls = iter([first, True, True, True])

            def explain(x: Tensor, broken: float = broken, calls=calls) -> Tensor:
                maps = squared(x)
                maps[1, 2, 2] = broken if next(calls) else 0.0
                return maps

            assert max_sensitivity(explain, images, draws=3).isnan().tolist() == [False, True, False]


def test_class_streams_the_mean_with_gradients_on() -> None:
    images = torch.randn(5, 2, 6, 6)

    def gradient(images: Tensor) -> Tensor:
        images = images.clone().requires_grad_()
        return torch.autograd.grad(images.pow(3).sum(), images)[0].sum(dim=1)

    metric = MaxSensitivity(draws=3, seed=4)
    with torch.no_grad():
        metric.update(gradient, images[:2])
        metric.update(gradient, images[2:])
    expected = max_sensitivity(gradient, images, draws=3, seed=4).mean()
    torch.testing.assert_close(metric.compute(), expected)
    assert metric.higher_is_better is False


def test_settings_and_maps_that_cannot_be_are_named() -> None:
    images = torch.randn(2, 2, 6, 6)
    with pytest.raises(ConfigError, match="a draw or more and a radius above 0, got 0 and"):
        max_sensitivity(squared, images, draws=0)
    with pytest.raises(ConfigError, match="got 10 and -1"):
        max_sensitivity(squared, images, radius=-1)
    with pytest.raises(DataError, match=r"needs maps \(N, h, w\), got \(2, 2, 6, 6\) for 2 images"):
        max_sensitivity(lambda x: x, images)
