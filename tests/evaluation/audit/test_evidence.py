from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.evaluation.conftest import PREPROCESSING, checkpoint, square_reader

from softcam.evaluation.audit.evidence import AREA, POSITIVE_OUTSIDE, TOTAL, AuditReader, score_name
from softcam.evaluation.audit.regions import BORDER, CORNERS, OUTSIDE, Roi
from softcam.model.evidence import SoftCAM

QUESTION = [("sick", 1)]


def reader(roi: Roi = Roi.MASK) -> AuditReader:
    model = checkpoint(square_reader(cell=4)).model
    assert isinstance(model, SoftCAM)
    return AuditReader(model, PREPROCESSING, QUESTION, roi)


def batch(masks: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
    images = torch.rand(4, 3, 32, 32, generator=torch.manual_seed(0))
    given = {"image": images, "target": torch.tensor([0, 1, 1, 0]), "index": torch.arange(4)}
    return given if masks is None else {**given, "mask": masks}


def test_regions_that_tile_the_image_add_up_to_the_logit() -> None:
    masks = torch.rand(4, 32, 32, generator=torch.manual_seed(1)) > 0.5
    read = reader()
    logits, one = read(batch(masks))
    _, other = read(batch(~masks))
    evidence = read.model.explain(batch()["image"])
    margin = (logits - evidence.bias) @ torch.tensor([-1.0, 1.0])
    torch.testing.assert_close(one[score_name(TOTAL, "sick")], margin)
    outside = score_name(OUTSIDE, "sick")
    torch.testing.assert_close(one[outside] + other[outside], margin)
    torch.testing.assert_close(one[AREA], (~masks).float().mean(dim=(1, 2)))
    shares = one[score_name(POSITIVE_OUTSIDE, "sick")] + other[score_name(POSITIVE_OUTSIDE, "sick")]
    torch.testing.assert_close(shares, torch.ones(4))


def test_a_bright_corner_holds_all_of_the_evidence() -> None:
    images = torch.zeros(1, 3, 32, 32)
    images[:, :, :4, -4:] = 1
    read = reader(Roi.NONE)
    _, numbers = read({"image": images, "target": torch.tensor([1])})
    assert AREA not in numbers
    total = numbers[score_name(TOTAL, "sick")]
    for region in (*CORNERS, BORDER):
        share = numbers[score_name(region, "sick")] / total
        expected = {"upper right": 1.0, BORDER: 12 / 16}.get(region, 0.0)
        assert share.item() == pytest.approx(expected, abs=1e-5)


def test_images_without_a_region_of_interest_have_no_share_outside() -> None:
    masks = torch.zeros(4, 32, 32, dtype=torch.bool)
    masks[1, 8:16, 8:16] = True
    _, numbers = reader()(batch(masks))
    assert numbers[AREA].isnan().tolist() == [True, False, True, True]
    assert numbers[score_name(OUTSIDE, "sick")].isnan().tolist() == [True, False, True, True]
    assert not numbers[score_name(TOTAL, "sick")].isnan().any()


def test_mean_maps_are_the_means_over_batches_of_different_sizes() -> None:
    read, given = reader(Roi.NONE), batch()
    contrast = read.model.explain(given["image"]).contrast()[:, 1].double()
    for part in (slice(0, 1), slice(1, 4)):
        read({name: value[part] for name, value in given.items()})
    (means,) = read.mean_maps()
    np.testing.assert_allclose(means.present, contrast[1:3].mean(0).numpy(), atol=1e-5)
    np.testing.assert_allclose(means.absent, contrast[[0, 3]].mean(0).numpy(), atol=1e-5)
    np.testing.assert_allclose(means.difference, means.present - means.absent)
    assert reader().mean_maps() == ()
