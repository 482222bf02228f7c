from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings, strategies as st

from softcam.errors import ConfigError
from softcam.model.layout import Layout, Order, channels_first, channels_last, map_to_tokens, tokens_to_map


@given(
    rows=st.integers(2, 9),
    columns=st.integers(2, 9),
    patch=st.sampled_from([4, 14, 16, 32]),
    extra=st.integers(0, 5),
    depth=st.integers(1, 40),
)
@settings(max_examples=60, deadline=None)
def test_tokens_become_a_map_and_tokens_again(rows: int, columns: int, patch: int, extra: int, depth: int) -> None:
    images = torch.zeros(2, 3, rows * patch, columns * patch)
    tokens = torch.randn(2, extra + rows * columns, depth)
    features = tokens_to_map(tokens, images, extra)
    assert features.shape == (2, depth, rows, columns)
    assert torch.equal(features[0, :, 1, 0], tokens[0, extra + columns])
    back = map_to_tokens(features, extra)
    assert torch.equal(back[:, extra:], tokens[:, extra:])
    torch.testing.assert_close(back[:, :extra], features.mean((2, 3))[:, None].expand(-1, extra, -1))


@pytest.mark.parametrize(
    ("shape", "layout", "map_shape"),
    [
        ((1, 64, 7, 7), Layout(), (1, 64, 7, 7)),
        ((1, 7, 7, 64), Layout(Order.CHANNELS_LAST), (1, 64, 7, 7)),
        ((1, 8, 8, 8), Layout(), (1, 8, 8, 8)),
        ((1, 49, 64), Layout(Order.TOKENS), (1, 64, 7, 7)),
        ((1, 50, 64), Layout(Order.TOKENS, 1), (1, 64, 7, 7)),
        ((1, 201, 64), Layout(Order.TOKENS, 5), (1, 64, 14, 14)),
        ((1, 80, 64), None, None),
        ((1, 64), None, None),
        ((), None, None),
    ],
)
def test_layouts_are_recognised_by_their_grid(
    shape: tuple[int, ...], layout: Layout | None, map_shape: tuple[int, ...] | None
) -> None:
    found = Layout.of(shape, (224, 224))
    assert found == layout
    assert found is None or found.map_shape(shape, (224, 224)) == map_shape


def test_the_grid_has_the_proportions_of_the_image() -> None:
    assert Layout.of((1, 12 * 10 + 1, 8), (192, 160)) == Layout(Order.TOKENS, 1)
    assert Layout(Order.TOKENS, 1).map_shape((1, 121, 8), (192, 160)) == (1, 8, 12, 10)


def test_volumes_are_recognised_by_their_slices() -> None:
    assert Layout.of((1, 8, 7, 7, 96), (16, 224, 224)) == Layout(Order.CHANNELS_LAST)
    assert Layout.of((1, 96, 8, 7, 7), (16, 224, 224)) == Layout()


def test_tokens_that_make_no_grid_are_an_error_in_words() -> None:
    with pytest.raises(ConfigError, match=r"^13 tokens make no grid with the proportions of images of 64×64 px; use"):
        tokens_to_map(torch.zeros(1, 14, 3), torch.zeros(1, 3, 64, 64), 1)


def test_channels_change_places() -> None:
    features = torch.randn(2, 3, 4, 5)
    assert channels_last(features).shape == (2, 4, 5, 3)
    assert torch.equal(channels_first(channels_last(features)), features)
