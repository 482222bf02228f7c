from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from softcam.data.images import read_image
from softcam.data.lungs import find_lungs
from softcam.data.phantoms import PhantomKind, PhantomOptions, make_phantom
from softcam.data.phantoms.chest import ChestScene
from softcam.errors import DataError


def overlap(found: np.ndarray, true: np.ndarray) -> float:
    """Dice coefficient."""
    return float(2 * (found & true).sum() / (found.sum() + true.sum()))


@pytest.mark.parametrize("seed", range(8))
def test_lungs_of_a_drawn_chest_are_found(seed: int) -> None:
    scene = ChestScene(PhantomOptions(kind=PhantomKind.CHEST, size=160), np.random.default_rng(seed))
    field = find_lungs(torch.from_numpy(scene.healthy.astype(np.float32)))
    assert overlap(field.mask, scene.thorax.lungs > 0.5) > 0.75
    assert field.contrast > 0.25


def test_they_stay_where_they_are_under_scale_contrast_and_colour() -> None:
    scene = ChestScene(PhantomOptions(kind=PhantomKind.CHEST, size=192), np.random.default_rng(5))
    image = torch.from_numpy(scene.healthy.astype(np.float32))
    found = find_lungs(image).mask
    assert overlap(find_lungs(image.expand(3, -1, -1)).mask, found) > 0.99
    assert overlap(find_lungs(0.1 + 0.5 * image).mask, found) > 0.95
    small = torch.nn.functional.interpolate(image[None], (96, 96), mode="area")[0]
    assert overlap(find_lungs(small).mask, found[1::2, 1::2]) > 0.93


def test_an_image_wider_than_high_is_read_too() -> None:
    scene = ChestScene(PhantomOptions(kind=PhantomKind.CHEST, size=128), np.random.default_rng(2))
    image = torch.from_numpy(scene.healthy.astype(np.float32))
    wide = torch.nn.functional.pad(image, (30, 30))
    field = find_lungs(wide)
    assert field.mask.shape == (128, 188)
    assert overlap(field.mask[:, 30:158], scene.thorax.lungs > 0.5) > 0.7


@pytest.mark.parametrize("shape", [(1, 64, 64), (1, 5, 90), (3, 1, 1)])
def test_what_shows_no_lungs_is_refused(shape: tuple[int, ...]) -> None:
    ramp = torch.linspace(0, 1, shape[-1]).expand(shape)
    for image in (torch.zeros(shape), torch.full(shape, 0.5), ramp):
        with pytest.raises(DataError, match=r"^no lungs are found; "):
            find_lungs(image)


def test_a_scan_of_the_retina_has_no_lungs() -> None:
    pixels = make_phantom(PhantomOptions(kind=PhantomKind.OCT, size=96), 0, 0, label=0).pixels
    with pytest.raises(DataError, match="no lungs"):
        find_lungs(torch.from_numpy(pixels / np.float32(255))[None])


def test_lungs_of_real_children_lie_beside_the_spine(real_data: Path) -> None:
    images = sorted((real_data / "kermany-cxr" / "test" / "NORMAL").iterdir())[:12]
    masks = [find_lungs(read_image(path).pixels).mask for path in images]
    for mask in masks:
        width = mask.shape[1]
        left, right = mask[:, : width // 2].mean(), mask[:, width // 2 :].mean()
        assert 0.06 < left < 0.5
        assert 0.06 < right < 0.5
        assert not mask[-width // 10 :].any()
