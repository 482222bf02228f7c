from __future__ import annotations

import torch
import torch.nn.functional as F
from hypothesis import given, settings, strategies as st

from softcam.model.resample import overlap_weights, resample_area

sizes = st.tuples(st.integers(1, 12), st.integers(1, 12))


@given(source=sizes, target=sizes)
@settings(max_examples=50, deadline=None)
def test_the_mean_is_kept_for_any_two_sizes(source: tuple[int, int], target: tuple[int, int]) -> None:
    maps = torch.randn(2, 3, *source, dtype=torch.float64)
    resampled = resample_area(maps, target)
    assert resampled.shape == (2, 3, *target)
    torch.testing.assert_close(resampled.mean((2, 3)), maps.mean((2, 3)))


def test_an_integer_factor_is_nearest_neighbour() -> None:
    maps = torch.randn(1, 2, 3, 4)
    torch.testing.assert_close(resample_area(maps, (9, 8)), F.interpolate(maps, (9, 8), mode="nearest"))


def test_an_integer_reduction_is_average_pooling() -> None:
    maps = torch.randn(1, 2, 8, 6)
    torch.testing.assert_close(resample_area(maps, (4, 3)), F.avg_pool2d(maps, 2))


def test_weights_of_a_hand_computed_case() -> None:
    expected = torch.tensor([[1, 0.5, 0], [0, 0.5, 1]])
    torch.testing.assert_close(overlap_weights(2, 3, like=expected), expected)


def test_volumes_are_resampled_along_every_axis() -> None:
    maps = torch.randn(1, 1, 2, 3, 4)
    torch.testing.assert_close(resample_area(maps, (4, 6, 8)), F.interpolate(maps, (4, 6, 8), mode="nearest"))
