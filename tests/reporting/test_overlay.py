from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from PIL import Image

from softcam.errors import ConfigError, DataError
from softcam.reporting.colours import colour
from softcam.reporting.overlay import (
    LONGEST_SIDE,
    SHORTEST_SIDE,
    blend,
    colour_bar,
    grey,
    outline,
    panel,
    signed,
    to_picture,
    to_png,
)


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 9), st.integers(1, 9))
def test_where_there_is_no_evidence_the_image_is_left_as_it_is(height: int, width: int, h: int, w: int) -> None:
    image = noise(height, width)
    assert (blend(image, np.zeros((h, w)), 1.0) == image).all()


def test_blending_lets_the_image_through_by_the_opacity_of_the_colour() -> None:
    image, evidence = noise(8, 8), np.random.default_rng(1).normal(0, 2, (8, 8))
    layer = colour(evidence, 3.0).astype(float)
    opacity = layer[..., 3:] / 255
    expected = image * (1 - opacity) + layer[..., :3] * opacity
    assert np.abs(blend(image, evidence, 3.0) - expected).max() <= 1


def test_one_logit_has_one_colour_whatever_else_is_in_the_map() -> None:
    image = np.full((4, 4, 3), 90, np.uint8)
    healthy, sick = np.zeros((4, 4)), np.random.default_rng(0).normal(0, 30, (4, 4))
    healthy[0, 0] = sick[0, 0] = 1.5
    assert (blend(image, healthy, 10.0)[0, 0] == blend(image, sick, 10.0)[0, 0]).all()


def test_a_coarse_map_is_enlarged_as_evidence_is_elsewhere() -> None:
    cells = np.random.default_rng(0).normal(0, 2, (3, 5)).astype(np.float32)
    fine = torch.nn.functional.interpolate(torch.from_numpy(cells)[None, None], (24, 30), mode="bilinear")[0, 0]
    image = noise(24, 30)
    difference = blend(image, cells, 4.0).astype(int) - blend(image, fine.numpy(), 4.0)
    assert np.abs(difference).max() <= 1


def test_blending_and_outlining_leave_their_input_alone() -> None:
    image = noise(9, 9)
    before = image.copy()
    blend(image, np.ones((3, 3)), 1.0)
    outline(image, np.eye(9, dtype=bool))
    assert (image == before).all()


def test_an_outline_surrounds_the_mask_and_hides_nothing_of_it() -> None:
    image, mask = np.full((20, 20, 3), 100, np.uint8), np.zeros((20, 20), bool)
    mask[8:11, 7:12] = True
    drawn = outline(image, mask)
    rings = np.full((20, 20), 100, np.uint8)
    rings[5:14, 4:15] = 0  # edge
    rings[6:13, 5:14] = 255  # line
    rings[7:12, 6:13] = 100  # gap and mask
    assert (drawn == rings[..., None]).all()


def test_an_empty_mask_has_no_outline() -> None:
    image = noise(6, 5)
    assert (outline(image, np.zeros((6, 5), bool)) == image).all()


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(DataError, match=r"the mask has the size \(3, 4\), its image \(6, 5\); resize the mask"):
        outline(noise(6, 5), np.zeros((3, 4), bool))


def test_grey_has_the_luma_in_all_channels() -> None:
    image = noise(5, 7)
    expected = image @ np.array([0.299, 0.587, 0.114])
    assert np.abs(grey(image) - expected[..., None]).max() <= 1


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((3, 300, 400), (300, 400)),
        ((1, 100, 50), (SHORTEST_SIDE, SHORTEST_SIDE // 2)),
        ((3, 1000, 4096), (250, LONGEST_SIDE)),
        ((1, 1, 3000), (1, LONGEST_SIDE)),
    ],
)
def test_pictures_keep_their_shape_within_a_range_of_sizes(
    shape: tuple[int, int, int], expected: tuple[int, int]
) -> None:
    assert to_picture(np.zeros(shape, np.float32)).shape == (*expected, 3)


def test_a_picture_shows_the_pixels() -> None:
    image = noise(256, 256)
    pixels = image.transpose(2, 0, 1).astype(np.float32) / 255
    assert (to_picture(pixels) == image).all()
    assert (to_picture(pixels[:1]) == image[..., :1]).all()


def test_a_panel_holds_the_image_the_overlay_on_grey_and_the_scale() -> None:
    image, evidence = noise(300, 280), np.random.default_rng(2).normal(0, 3, (7, 7))
    drawn = panel(image, evidence, 5.0, "late: probability 0.9", "evidence +2.00")
    assert (drawn[-300:, :280] == image).all()
    right = drawn[-300:, 280:]
    overlaid = blend(grey(image), evidence, 5.0)
    starts = [x for x in range(20) if (right[:, x : x + 280] == overlaid).all()]
    assert len(starts) == 1
    assert (drawn[:-300] < 128).any(), "no caption"
    bare = panel(image, evidence, 5.0)
    assert bare.shape == (300, drawn.shape[1], 3)


def test_a_long_caption_and_a_tiny_image_have_room() -> None:
    drawn = panel(noise(8, 8), np.ones((2, 2)), 5.0, "a class with a name as long as this one is: probability 0.9")
    assert (drawn[:, -3:] == 255).all()


def test_the_bar_has_the_colours_of_the_overlay() -> None:
    bar = colour_bar(4.0, 300, 14)
    top, bottom = round(1.9 * 14), 300 - 14
    on_grey = np.full((bottom - top, 1, 3), 128, np.uint8)
    expected = blend(on_grey, np.linspace(4, -4, bottom - top)[:, None], 4.0)[:, 0]
    assert (bar[top:bottom, 7 + 3] == expected).all()


def test_the_bar_cannot_be_drawn_on() -> None:
    with pytest.raises(ValueError, match="read-only"):
        colour_bar(4.0, 300)[:] = 0


def test_a_panel_needs_a_limit() -> None:
    with pytest.raises(ConfigError, match=r"limit is 0\.0"):
        panel(noise(8, 8), np.ones((2, 2)), 0.0)


def test_png_is_lossless_and_whole(tmp_path: Path) -> None:
    image = noise(20, 30)
    to_png(image, tmp_path / "new" / "a.png")
    assert (np.asarray(Image.open(tmp_path / "new" / "a.png")) == image).all()
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["a.png"]


@pytest.mark.parametrize(("value", "text"), [(1.5, "+1.50"), (-0.25, "−0.25"), (0.001, "0.00"), (-0.001, "0.00")])
def test_signed_numbers(value: float, text: str) -> None:
    assert signed(value) == text
