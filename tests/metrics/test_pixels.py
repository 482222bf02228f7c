from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from softcam.metrics.localization import chance_map
from softcam.metrics.pixels import PixelAUROC, PixelAveragePrecision, pixel_auroc, pixel_average_precision


@settings(deadline=None, max_examples=80, derandomize=True)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 12), st.integers(2, 12)),
    decimals=st.integers(0, 5),
    share=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**31),
)
def test_agrees_with_scikit_learn_ties_included(shape, decimals, share, seed) -> None:
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(shape, generator=generator).round(decimals=decimals)
    masks = torch.rand(shape, generator=generator) < share
    masks[:, 0, 0], masks[:, -1, -1] = True, False
    pairs = [(m.flatten().numpy(), s.flatten().numpy()) for s, m in zip(maps, masks, strict=True)]
    np.testing.assert_allclose(pixel_auroc(maps, masks), [roc_auc_score(*pair) for pair in pairs], atol=1e-6)
    expected = [average_precision_score(*pair) for pair in pairs]
    np.testing.assert_allclose(pixel_average_precision(maps, masks), expected, atol=1e-6)


def test_agrees_with_scikit_learn_at_image_size() -> None:
    generator = torch.Generator().manual_seed(0)
    masks = torch.rand(1, 512, 512, generator=generator) < 0.02
    maps = masks + torch.randn(1, 512, 512, generator=generator)
    truth, scores = masks.flatten().numpy(), maps.flatten().numpy()
    assert pixel_auroc(maps, masks).item() == pytest.approx(roc_auc_score(truth, scores), abs=1e-6)
    expected = average_precision_score(truth, scores)
    assert pixel_average_precision(maps, masks).item() == pytest.approx(expected, abs=1e-5)


def test_chance_is_a_half_and_the_annotated_share() -> None:
    masks = torch.rand(3, 10, 10) < 0.2
    masks[:, 0, :2] = torch.tensor([True, False])
    torch.testing.assert_close(pixel_auroc(chance_map(masks), masks), torch.full((3,), 0.5))
    share = masks.float().mean(dim=(1, 2))
    torch.testing.assert_close(pixel_average_precision(chance_map(masks), masks), share)


def test_only_the_order_counts() -> None:
    maps, masks = torch.randn(2, 8, 8), torch.rand(2, 8, 8) < 0.3
    torch.testing.assert_close(pixel_auroc(maps.exp(), masks), pixel_auroc(maps, masks))
    torch.testing.assert_close(pixel_auroc(-maps, masks), 1 - pixel_auroc(maps, masks))


def test_undefined_without_pixels_of_both_kinds() -> None:
    maps = torch.randn(2, 4, 4)
    masks = torch.stack([torch.zeros(4, 4), torch.ones(4, 4)]).bool()
    assert pixel_auroc(maps, masks).isnan().all()
    assert pixel_average_precision(maps, masks).isnan().tolist() == [True, False]
    assert pixel_average_precision(maps, masks)[1] == 1


@pytest.mark.parametrize(
    ("metric", "function"), [(PixelAUROC(), pixel_auroc), (PixelAveragePrecision(), pixel_average_precision)]
)
def test_classes_stream_the_mean(metric, function) -> None:
    maps, masks = torch.randn(4, 8, 8), torch.rand(4, 8, 8) < 0.3
    masks[0] = False
    metric.update(maps[:2], masks[:2])
    metric.update(maps[2:], masks[2:])
    torch.testing.assert_close(metric.compute(), function(maps, masks).nanmean())
