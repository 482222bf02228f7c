from __future__ import annotations

import copy
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from PIL import Image
from torchvision import tv_tensors

from softcam.data.annotations import Outlines, annotation_problems, mask_from_coverage, rasterize, read_masks
from softcam.data.sample import Annotations, Box, Point, Sample
from softcam.errors import DataError


def sample(*boxes: Box, points: tuple[Point, ...] = ()) -> Sample:
    return Sample(Path("image.png"), (0,), "patient", annotations=Annotations(boxes, points))


def drawn(annotations: Annotations, size: tuple[int, int]) -> torch.Tensor:
    return rasterize(Outlines.of(annotations, size), size)


@given(x=st.integers(0, 9), y=st.integers(0, 7), width=st.integers(1, 10), height=st.integers(1, 8))
def test_a_box_of_whole_pixels_sets_exactly_these(x: int, y: int, width: int, height: int) -> None:
    expected = torch.zeros(8, 10, dtype=torch.bool)
    expected[y : y + height, x : x + width] = True
    assert torch.equal(drawn(Annotations((Box(x, y, width, height),)), (8, 10)), expected)


@given(x=st.floats(0, 9.99), y=st.floats(0, 7.99))
def test_a_point_sets_exactly_the_pixel_it_lies_in(x: float, y: float) -> None:
    mask = drawn(Annotations(points=(Point(x, y),)), (8, 10))
    assert mask.nonzero().tolist() == [[int(y), int(x)]]


@given(x=st.floats(0, 9.98), y=st.floats(0, 7.98), width=st.floats(1e-3, 0.01), height=st.floats(1e-3, 0.01))
def test_the_smallest_box_sets_at_least_one_pixel(x: float, y: float, width: float, height: float) -> None:
    mask = drawn(Annotations((Box(x, y, width, height),)), (8, 10))
    assert 1 <= mask.sum() <= 4
    assert mask[int(y + height / 2), int(x + width / 2)]


def test_a_point_on_the_last_edge_is_drawn_inside() -> None:
    assert drawn(Annotations(points=(Point(10, 8),)), (8, 10)).nonzero().tolist() == [[7, 9]]


def test_a_turned_square_keeps_its_area() -> None:
    """The upright box around a square turned by 45° would have twice its area."""
    angles = torch.tensor([math.pi / 2 * k for k in range(4)])
    radius, middle = 40.3, 50.0
    corners = torch.stack([middle + radius * angles.cos(), middle + radius * angles.sin()], dim=1)
    mask = rasterize(corners[None], (100, 100))
    assert mask.sum().item() == pytest.approx(2 * radius**2, rel=0.02)
    assert not mask[15, 15]


def test_what_lies_outside_is_left_out() -> None:
    assert not rasterize(Outlines.wrap(torch.full((1, 4, 2), -3.0)), (4, 4)).any()
    far = torch.tensor([[[-5.0, -5.0], [2.0, -5.0], [2.0, 1.0], [-5.0, 1.0]]])
    assert rasterize(far, (4, 4)).nonzero().tolist() == [[0, 0], [0, 1]]


def test_nothing_drawn_is_an_empty_mask() -> None:
    assert Outlines.of(Annotations(), (5, 6)).shape == (0, 4, 2)
    assert not drawn(Annotations(), (5, 6)).any()


def test_outlines_survive_copying_and_pickling_of_a_sample() -> None:
    outlines = Outlines.of(Annotations(points=(Point(1, 2),)), (5, 6))
    assert isinstance(copy.deepcopy(outlines), Outlines)
    assert isinstance(outlines, tv_tensors.TVTensor)


@pytest.mark.parametrize(
    ("outside", "problem"),
    [
        (sample(Box(6, 0, 6, 2)), "Box [6, 0, 6, 2] lies outside image.png (10×8 px)"),
        (sample(Box(0, -2.5, 6, 4)), "Box [0, -2.5, 6, 4] lies outside image.png (10×8 px)"),
        (sample(points=(Point(3, 9.5),)), "Point [3, 9.5] lies outside image.png (10×8 px)"),
    ],
)
def test_what_lies_outside_its_image_is_named(outside: Sample, problem: str) -> None:
    assert list(annotation_problems(outside, (8, 10))) == [f"{problem}; correct it or scale it to the image."]


def test_rounding_by_a_pixel_is_no_problem() -> None:
    rounded = sample(Box(-0.5, 0, 11, 8.4), points=(Point(10, 8),))
    assert not list(annotation_problems(rounded, (8, 10)))


def test_masks_are_united_and_every_colour_counts(tmp_path: Path) -> None:
    grey, colour = np.zeros((4, 5), np.uint8), np.zeros((4, 5, 3), np.uint8)
    grey[0, 0] = 1
    colour[3, 4, 2] = 76
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(colour).save(tmp_path / "colour.tif")
    mask = read_masks([tmp_path / "grey.png", tmp_path / "colour.tif"], tmp_path / "image.png", (4, 5))
    assert isinstance(mask, tv_tensors.Mask)
    assert mask.nonzero().tolist() == [[0, 0, 0], [0, 3, 4]]


def test_the_noise_around_a_jpeg_mask_does_not_count(tmp_path: Path) -> None:
    white = np.zeros((32, 32), bool)
    white[5:20, 7:22] = True
    Image.fromarray(white.astype(np.uint8) * 255).save(tmp_path / "mask.jpg", quality=60)
    assert (np.asarray(Image.open(tmp_path / "mask.jpg")) > 0).sum() > white.sum()
    mask = read_masks([tmp_path / "mask.jpg"], tmp_path / "image.png", (32, 32))
    np.testing.assert_array_equal(mask[0], white)


def test_a_mask_of_another_size_is_an_error_with_both_sizes(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    Image.new("L", (5, 4)).save(path)
    with pytest.raises(DataError) as caught:
        read_masks([path], Path("image.png"), (4, 6))
    assert str(caught.value) == (
        f"{path} is 5×4 px but its image image.png is 6×4 px; a mask must have the size of its image."
    )


def test_a_lesion_smaller_than_a_pixel_keeps_one() -> None:
    coverage = torch.zeros(1, 9, 9)
    coverage[0, 1, 1], coverage[0, 1, 2], coverage[0, 6, 6] = 0.2, 0.1, 0.01
    assert mask_from_coverage(coverage)[0].nonzero().tolist() == [[1, 1], [6, 6]]


@given(st.lists(st.floats(0, 1), min_size=25, max_size=25))
def test_half_covered_pixels_belong_to_the_mask_and_empty_ones_never(values: list[float]) -> None:
    coverage = torch.tensor(values).reshape(1, 5, 5)
    mask = mask_from_coverage(coverage)
    assert mask[coverage >= 0.5].all()
    assert not mask[coverage == 0].any()
    inner = coverage[:, 1:-1, 1:-1]
    if inner.max() == coverage.max() > 1e-6:
        assert mask.any()


def test_a_large_lesion_that_just_looks_in_leaves_no_mark() -> None:
    coverage = torch.zeros(1, 9, 9)
    coverage[0, 2:7, 8] = 0.3
    assert not mask_from_coverage(coverage).any()
