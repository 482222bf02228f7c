from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as F

from softcam.data.annotations import Outlines, mask_from_coverage
from softcam.data.augmentation import AUGMENTATIONS, Augmentation
from softcam.data.geometry import RandomGeometry, move_points, random_matrix, warp

ONLY = Augmentation(p=1.0)
MIDDLE = torch.tensor([20.0, 15.0])
SIZE = (30, 40)


def blobs() -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(30.0), torch.arange(40.0), indexing="ij")
    return torch.stack([torch.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 18) for cx, cy in ((12, 10), (26, 18))])


@given(seed=st.integers(0, 10_000))
def test_no_augmentation_is_the_identity(seed: int) -> None:
    torch.manual_seed(seed)
    torch.testing.assert_close(random_matrix(ONLY, SIZE), torch.eye(3, dtype=torch.float64))


def test_an_untouched_sample_is_passed_on_without_resampling() -> None:
    image = tv_tensors.Image(torch.rand(1, 5, 7))
    assert RandomGeometry(Augmentation())({"image": image})["image"] is image


@pytest.mark.parametrize(("name", "flipped"), [("horizontal_flip", [2]), ("vertical_flip", [1])])
def test_flips_mirror_pixels_and_points(name: str, flipped: list[int]) -> None:
    matrix = random_matrix(replace(ONLY, **{name: 1.0}), SIZE)
    torch.testing.assert_close(warp(blobs(), matrix), blobs().flip(flipped), atol=1e-4, rtol=0)
    moved = move_points(torch.tensor([0.0, 0.0]), matrix)
    assert moved.tolist() == ([40.0, 0.0] if flipped == [2] else [0.0, 30.0])


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_rotation_is_that_of_torchvision(seed: int) -> None:
    torch.manual_seed(seed)
    matrix = random_matrix(replace(ONLY, rotation=180.0), SIZE)
    degrees = math.degrees(math.atan2(matrix[1, 0], matrix[0, 0]))
    reference = F.affine(
        blobs(), angle=degrees, translate=[0, 0], scale=1.0, shear=[0.0], interpolation=F.InterpolationMode.BILINEAR
    )
    torch.testing.assert_close(warp(blobs(), matrix), reference, atol=1e-3, rtol=0)
    torch.testing.assert_close(move_points(MIDDLE, matrix), MIDDLE)


@given(seed=st.integers(0, 10_000))
def test_rotation_and_translation_stay_in_their_ranges(seed: int) -> None:
    torch.manual_seed(seed)
    matrix = random_matrix(replace(ONLY, rotation=30.0, translation=0.2), SIZE)
    torch.testing.assert_close(matrix[:2, :2].det(), torch.tensor(1.0, dtype=torch.float64))
    assert abs(math.degrees(math.atan2(matrix[1, 0], matrix[0, 0]))) <= 30 + 1e-9
    shift = move_points(MIDDLE, matrix) - MIDDLE
    assert (shift.abs() <= torch.tensor([8.0, 6.0]) + 1e-4).all()


@given(seed=st.integers(0, 10_000))
def test_crops_have_the_published_areas_and_ratios(seed: int) -> None:
    """Scales above 1 happen, which they do not in torchvision's RandomResizedCrop."""
    torch.manual_seed(seed)
    matrix = random_matrix(replace(ONLY, scale=(0.87, 1.15), ratio=(0.7, 1.3)), SIZE)
    width, height = 1 / matrix[0, 0].item(), 1 / matrix[1, 1].item()
    assert 0.87 - 1e-9 <= width * height <= 1.15 + 1e-9
    assert 0.7 - 1e-9 <= width / height <= 1.3 + 1e-9
    corners = torch.tensor([[0.0, 0.0], [40.0, 30.0]])
    crop = move_points(corners, matrix.inverse())
    for axis, extent in ((0, width), (1, height)):
        low, high = (crop[:, axis] / corners[1, axis]).tolist()
        inside = (low >= -1e-5 and high <= 1 + 1e-5) if extent <= 1 else (low <= 1e-5 and high >= 1 - 1e-5)
        assert inside


def test_a_crop_larger_than_the_image_shows_all_of_it_on_black() -> None:
    matrix = random_matrix(replace(ONLY, scale=(4.0, 4.0)), SIZE)
    warped = warp(torch.ones(1, *SIZE), matrix)
    assert warped.sum().item() == pytest.approx(30 * 40 / 4, rel=0.02)


def test_each_part_happens_as_often_as_it_should() -> None:
    torch.manual_seed(0)
    chest = AUGMENTATIONS["chest"]
    matrices = torch.stack([random_matrix(chest, SIZE) for _ in range(600)])
    assert (matrices[:, 0, 1] != 0).double().mean().item() == pytest.approx(0.5, abs=0.06)
    assert (matrices[:, :2, :2].det() < 0).double().mean().item() == pytest.approx(0.5, abs=0.06)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_points_go_where_the_pixels_go(seed: int) -> None:
    """The centroid of a blob in the warped image is where the matrix takes its middle."""
    torch.manual_seed(seed)
    matrix = random_matrix(replace(AUGMENTATIONS["fundus"], translation=0.05), SIZE)
    middles = torch.tensor([[12.5, 10.5], [26.5, 18.5]])
    inside = move_points(middles, matrix)
    if not ((inside > 9) & (inside < torch.tensor([31.0, 21.0]))).all():
        return
    warped = warp(blobs(), matrix)
    y, x = torch.meshgrid(torch.arange(30) + 0.5, torch.arange(40) + 0.5, indexing="ij")
    weights = warped / warped.sum((1, 2), keepdim=True)
    centroids = torch.stack([(weights * x).sum((1, 2)), (weights * y).sum((1, 2))], dim=1)
    torch.testing.assert_close(centroids, inside, atol=0.5, rtol=0)


def test_a_small_lesion_never_vanishes_by_turning() -> None:
    mask = torch.zeros(1, 21, 21, dtype=torch.bool)
    mask[0, 10, 10] = True
    turn = RandomGeometry(replace(ONLY, rotation=180.0))
    for seed in range(50):
        torch.manual_seed(seed)
        out = turn({"image": tv_tensors.Image(torch.zeros(1, 21, 21)), "mask": tv_tensors.Mask(mask)})
        assert 1 <= mask_from_coverage(out["mask"]).sum() <= 2


def test_other_tensors_of_the_sample_are_left_alone() -> None:
    torch.manual_seed(3)
    number = torch.tensor(7.0)
    image, outlines = tv_tensors.Image(torch.rand(3, 8, 8)), Outlines.wrap(torch.rand(1, 4, 2))
    out = RandomGeometry(replace(ONLY, rotation=90.0))({"image": image, "outlines": outlines, "number": number, "n": 3})
    assert out["number"] is number
    assert out["n"] == 3
    assert isinstance(out["outlines"], Outlines)
    assert isinstance(out["image"], tv_tensors.Image)
    assert not torch.equal(out["image"], image)
