from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from PIL import Image
from torch import Tensor

from softcam.data.retina import (
    Circle,
    RetinaProcessing,
    crop_to_circle,
    process_images,
    retina_circle,
    retina_mask,
    subtract_local_average,
)
from softcam.errors import ConfigError


def fundus(height: int, width: int, circle: Circle, brightness: float = 0.6, surround: float = 0.0) -> Tensor:
    y, x = np.mgrid[:height, :width] + 0.5
    inside = np.hypot(x - circle.x, y - circle.y) <= circle.radius
    pixels = np.where(inside, brightness, surround)
    return torch.from_numpy(np.stack([pixels, pixels / 2, pixels / 4]).astype(np.float32))


@settings(deadline=None, max_examples=40)
@given(
    radius=st.floats(60, 110),
    dx=st.floats(-15, 15),
    dy=st.floats(-15, 15),
    brightness=st.floats(0.2, 1.0),
    factor=st.sampled_from([1, 3]),
)
def test_the_circle_is_found_even_where_the_photograph_cuts_it_off(
    radius: float, dx: float, dy: float, brightness: float, factor: int
) -> None:
    wanted = Circle(128 + dx, 90 + dy, radius).scaled(factor)
    found = retina_circle(fundus(180 * factor, 256 * factor, wanted, brightness, surround=0.015))
    assert found.x == pytest.approx(wanted.x, abs=1.5 * factor)
    assert found.y == pytest.approx(wanted.y, abs=1.5 * factor)
    assert found.radius == pytest.approx(wanted.radius, abs=1.5 * factor)


def test_a_notch_in_the_rim_does_not_move_the_circle() -> None:
    pixels = fundus(256, 256, Circle(128, 128, 100))
    pixels[:, 20:60, 180:230] = 0.6  # the tab that some cameras add to tell the sides
    circle = retina_circle(pixels)
    assert (circle.x, circle.y, circle.radius) == pytest.approx((128, 128, 100), abs=1)


@pytest.mark.parametrize("value", [0.0, 0.7])
def test_without_a_rim_the_circle_is_around_the_image(value: float) -> None:
    assert retina_circle(torch.full((3, 100, 100), value)) == Circle(50, 50, 50)


def test_the_mask_is_one_region_without_holes() -> None:
    pixels = fundus(128, 128, Circle(64, 64, 50))
    expected = pixels[0].numpy() > 0
    pixels[:, 60:70, 60:70] = 0  # the dark macula
    pixels[:, :6, :6] = 1  # a letter in the corner
    mask = retina_mask(pixels)
    assert mask[60:70, 60:70].all()
    assert not mask[:6, :6].any()
    assert (mask == expected).mean() > 0.999


def test_the_crop_is_the_square_around_the_circle() -> None:
    pixels = torch.rand(3, 40, 60)
    crop = crop_to_circle(pixels, Circle(30, 20, 25))
    assert crop.shape == (3, 50, 50)
    assert torch.equal(crop[:, 5:45], pixels[:, :, 5:55])
    assert crop[:, :5].eq(0).all()
    assert crop[:, 45:].eq(0).all()


def test_even_lighting_becomes_grey_up_to_the_rim() -> None:
    evened = subtract_local_average(fundus(128, 128, Circle(64, 64, 60)), 60)
    assert evened.sub(0.5).abs().max() < 0.01


def test_a_gradient_goes_and_a_lesion_stays() -> None:
    pixels = fundus(128, 128, Circle(64, 64, 60))
    light = torch.linspace(0.5, 1.0, 128)
    lesion = torch.zeros(128, 128)
    lesion[80:83, 40:43] = 0.1
    evened = subtract_local_average(pixels * light + lesion, 60)
    assert evened[0, 64, 30:100].sub(0.5).abs().max() < 0.03
    assert evened[0, 81, 41] > 0.7


@pytest.mark.parametrize(("crop", "shape"), [(True, (3, 64, 64)), (False, (3, 45, 64))])
def test_the_longer_side_is_the_size(crop: bool, shape: tuple[int, ...]) -> None:
    pixels = RetinaProcessing(64, crop, contrast=True)(fundus(180, 256, Circle(128, 90, 100)))
    assert pixels.shape == shape
    assert 0 <= pixels.min() <= pixels.max() <= 1


def test_a_tiny_size_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"A size of 4 px is too small for a fundus photograph; try 512\."):
        RetinaProcessing(4)


def test_copies_are_written_and_a_broken_image_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    array = (fundus(90, 128, Circle(64, 45, 50)).permute(1, 2, 0).numpy() * 255).astype(np.uint8)
    Image.fromarray(array).save(tmp_path / "colour.png")
    Image.fromarray(array[..., 0]).save(tmp_path / "grey.png")
    (tmp_path / "broken.png").write_bytes(b"nothing")
    paths = [tmp_path / f"{name}.png" for name in ("colour", "broken", "grey")]
    copies = process_images(paths, tmp_path / "copies", RetinaProcessing(32), workers=2)
    assert copies == {path: tmp_path / "copies" / path.name for path in (paths[0], paths[2])}
    assert Image.open(copies[paths[0]]).size == (32, 32)
    assert Image.open(copies[paths[2]]).mode == "L"
    assert "broken.png" in caplog.text
    assert sorted(path.name for path in (tmp_path / "copies").iterdir()) == ["colour.png", "grey.png"]


def test_real_fundus_photographs_fill_the_crop(real_data: Path) -> None:
    from softcam.data.images import read_image

    for path in sorted((real_data / "idrid-lesions/images").iterdir())[:4]:
        crop = RetinaProcessing(128)(read_image(path).pixels)
        columns = np.nonzero(retina_mask(crop).any(0))[0]
        assert columns[0] <= 4
        assert columns[-1] >= 123
