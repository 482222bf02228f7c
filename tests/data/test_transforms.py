from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torchvision import tv_tensors

from softcam.data import transforms
from softcam.data.annotations import Outlines, mask_from_coverage, rasterize
from softcam.data.sample import Annotations, Box, Point
from softcam.data.transforms import AUGMENTATIONS, PREPROCESSINGS, Preprocessing, training_transform

PLAIN = Preprocessing((48, 56), 3, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def square_sample(left: int, top: int, side: int, size: tuple[int, int] = (90, 120)) -> dict:
    """A white square on black with a box, a mask and a point on it."""
    white = torch.zeros(1, *size, dtype=torch.bool)
    white[0, top : top + side, left : left + side] = True
    annotations = Annotations((Box(left, top, side, side),), (Point(left + side // 2, top + side // 2),))
    return {
        "image": tv_tensors.Image(white.float().expand(3, -1, -1)),
        "mask": tv_tensors.Mask(white),
        "outlines": Outlines.of(annotations, size),
    }


@pytest.mark.parametrize("name", AUGMENTATIONS)
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), left=st.integers(0, 90), top=st.integers(0, 60), side=st.integers(8, 30))
def test_annotations_stay_on_the_white_square_they_mark(name: str, seed: int, left: int, top: int, side: int) -> None:
    torch.manual_seed(seed)
    out = training_transform(PLAIN, AUGMENTATIONS[name])(square_sample(left, top, side))
    image, mask, outlines = out["image"], out["mask"], out["outlines"].as_subclass(torch.Tensor)
    assert image.shape == (3, 48, 56)
    assert mask.shape == (1, 48, 56)
    brightness = image.amax(dim=0)
    box = rasterize(outlines[:1], (48, 56))
    point = rasterize(outlines[1:], (48, 56))
    area = mask_from_coverage(mask.as_subclass(torch.Tensor))[0]
    assert (brightness[box | point | area] > 0.15).all()
    rim = 2.5 * box.sum().sqrt() + 3  # where a pixel is partly white
    assert (box ^ area).sum() <= rim
    assert ((brightness > 0.6) & ~(box & area)).sum() <= rim


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_a_point_in_the_image_is_exactly_one_pixel(name: str) -> None:
    for seed in range(30):
        torch.manual_seed(seed)
        out = training_transform(PLAIN, AUGMENTATIONS[name])(square_sample(50, 40, 10))
        point = out["outlines"].as_subclass(torch.Tensor)[1:]
        x, y = point[0, 0].tolist()
        inside = 0 <= x < 56 and 0 <= y < 48
        assert rasterize(point, (48, 56)).sum() == int(inside)


def test_the_test_transform_is_the_preprocessing() -> None:
    sample = square_sample(10, 20, 30)
    out = transforms.test_transform(PREPROCESSINGS["fundus"])(sample)
    torch.testing.assert_close(
        out["image"].as_subclass(torch.Tensor), PREPROCESSINGS["fundus"](sample["image"].as_subclass(torch.Tensor))
    )
    torch.testing.assert_close(
        out["outlines"].as_subclass(torch.Tensor)[0, 0], torch.tensor([10 * 512 / 120, 20 * 512 / 90])
    )


def test_without_augmentation_training_is_as_testing() -> None:
    sample = square_sample(10, 20, 30)
    training = training_transform(PLAIN, AUGMENTATIONS["none"])(sample)
    testing = transforms.test_transform(PLAIN)(sample)
    assert all(torch.equal(training[name], testing[name]) for name in sample)


def test_the_same_seed_gives_the_same_sample() -> None:
    transform = training_transform(PLAIN, AUGMENTATIONS["fundus"])
    outs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        outs.append(transform(square_sample(40, 30, 25))["image"])
    assert torch.equal(outs[0], outs[1])
    assert not torch.equal(outs[0], outs[2])


@pytest.mark.parametrize("channels", [1, 3])
def test_grey_images_are_augmented_too(channels: int) -> None:
    torch.manual_seed(0)
    preprocessing = Preprocessing((32, 32), channels, (0.0,) * channels, (1.0,) * channels)
    transform = training_transform(preprocessing, AUGMENTATIONS["fundus"])
    for _ in range(20):
        image = transform({"image": tv_tensors.Image(torch.rand(1, 40, 40))})["image"]
        assert image.shape == (channels, 32, 32)
        assert 0 <= image.min() <= image.max() <= 1


def test_colours_vary_within_their_ranges() -> None:
    """Brightness .8-1.1 and contrast .8-1.4 of the chest recipe on a flat image, which contrast leaves alone."""
    torch.manual_seed(0)
    transform = training_transform(PLAIN, replace(AUGMENTATIONS["chest"], rotation=0.0))
    middles = []
    for _ in range(100):
        middles.append(transform({"image": tv_tensors.Image(torch.full((1, 48, 56), 0.5))})["image"][0, 24, 28].item())
    assert min(middles) >= 0.4 - 1e-5
    assert max(middles) <= 0.55 + 1e-5
    assert np.std(middles) > 0.01
    assert sum(abs(value - 0.5) < 1e-4 for value in middles) == pytest.approx(50, abs=20)


def test_transforms_can_be_sent_to_a_worker_process() -> None:
    for transform in (training_transform(PLAIN, AUGMENTATIONS["fundus"]), transforms.test_transform(PLAIN)):
        torch.manual_seed(0)
        before = transform(square_sample(5, 5, 20))["image"]
        torch.manual_seed(0)
        assert torch.equal(pickle.loads(pickle.dumps(transform))(square_sample(5, 5, 20))["image"], before)
