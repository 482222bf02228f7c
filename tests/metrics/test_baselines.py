from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torchvision.transforms.v2.functional import gaussian_blur

from softcam.metrics.baselines import blurred_baseline, constant_baseline


@settings(deadline=None, max_examples=30)
@given(height=st.integers(1, 40), width=st.integers(1, 40), seed=st.integers(0, 2**31))
def test_blur_is_that_of_torchvision(height, width, seed) -> None:
    images = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(seed))
    side = min(height, width)
    radius = min(-(-3 * side // 16), side - 1)
    expected = gaussian_blur(images, [2 * radius + 1] * 2, [side / 16] * 2)
    torch.testing.assert_close(blurred_baseline(images), expected, atol=1e-5, rtol=1e-4)


def test_blur_leaves_a_flat_image_and_takes_a_spot() -> None:
    image = torch.full((1, 3, 64, 64), 0.7)
    torch.testing.assert_close(blurred_baseline(image), image)
    image[..., 32, 32] = 5
    assert (blurred_baseline(image) - 0.7).abs().max() < 0.05


@pytest.mark.parametrize(("colour", "expected"), [(0.0, [0, 0, 0]), (2, [2, 2, 2]), ([0.5, 1, -1], [0.5, 1, -1])])
def test_a_constant_baseline_has_one_colour(colour, expected) -> None:
    baseline = constant_baseline(torch.rand(2, 3, 5, 7), colour)
    assert baseline.shape == (2, 3, 5, 7)
    assert torch.equal(baseline.unique(dim=0).flatten(2).amax(dim=2)[0], torch.tensor(expected).float())
    assert torch.equal(baseline.amin(dim=(0, 2, 3)), baseline.amax(dim=(0, 2, 3)))
