from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from softcam.data.phantoms import PhantomKind, PhantomOptions, make_phantom
from softcam.evaluation.audit.regions import CORNERS, Roi, border_mask, corner_mask, find_roi


@given(height=st.integers(8, 60), width=st.integers(8, 60))
def test_corners_are_apart_and_a_twenty_fifth_each(height: int, width: int) -> None:
    masks = [corner_mask(corner, height, width) for corner in CORNERS]
    assert np.sum(masks, axis=0).max() == 1
    for mask in masks:
        assert mask.sum() == max(1, round(0.2 * height)) * max(1, round(0.2 * width))
    assert masks[0][0, 0]
    assert masks[1][0, -1]
    assert masks[2][-1, 0]
    assert masks[3][-1, -1]


def test_the_border_is_a_frame() -> None:
    mask = border_mask(40, 60)
    assert mask[:2].all()
    assert mask[:, -2:].all()
    assert not mask[2:-2, 2:-2].any()
    assert border_mask(40, 60, share=0.1).sum() == 40 * 60 - 32 * 52


def image_of(kind: str) -> torch.Tensor:
    pixels = make_phantom(PhantomOptions(kind=PhantomKind(kind), size=128), 0, 1, label=0).pixels
    array = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(array)).float() / 255


def test_lungs_or_retina_are_found_by_what_the_image_is() -> None:
    chest, fundus, oct_scan = (image_of(kind) for kind in ("chest", "fundus", "oct"))
    lungs, retina = find_roi(chest, Roi.AUTO), find_roi(fundus, Roi.AUTO)
    assert lungs is not None
    assert retina is not None
    np.testing.assert_array_equal(lungs, find_roi(chest, Roi.LUNG))
    np.testing.assert_array_equal(retina, find_roi(fundus, Roi.RETINA))
    assert 0.1 < lungs.mean() < 0.5 < retina.mean() < 0.95
    assert find_roi(oct_scan, Roi.AUTO) is None
    assert find_roi(chest, Roi.NONE) is None


@pytest.mark.parametrize("roi", [Roi.LUNG, Roi.RETINA, Roi.AUTO])
def test_an_even_image_has_no_region_of_interest(roi: Roi) -> None:
    assert find_roi(torch.full((3, 64, 64), 0.5), roi) is None
