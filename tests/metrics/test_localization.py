from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from softcam.errors import DataError
from softcam.metrics.localization import (
    ActivationConsistency,
    ActivationPrecision,
    activation_consistency,
    activation_precision,
    activation_sensitivity,
    ceiling_map,
    chance_map,
    pointing_game,
    upsample_maps,
)

repeatable = settings(deadline=None, max_examples=60, derandomize=True)
METRICS = (activation_precision, activation_sensitivity, pointing_game)


@st.composite
def maps_and_masks(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Random maps with some equal values, and masks with at least one annotated pixel."""
    shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    maps = (4 * torch.randn(shape, generator=generator)).round(decimals=draw(st.integers(0, 6)))
    masks = torch.rand(shape, generator=generator) < draw(st.floats(0, 1))
    masks[:, 0, 0] |= ~masks.flatten(1).any(dim=1)
    return maps, masks


@st.composite
def lesions(draw: st.DrawFn) -> Tensor:
    """One mask (1, 32, 32) of up to three rectangles."""
    mask = torch.zeros(1, 32, 32, dtype=torch.bool)
    for _ in range(draw(st.integers(1, 3))):
        top, left = draw(st.tuples(st.integers(0, 28), st.integers(0, 28)))
        height, width = draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
        mask[:, top : top + height, left : left + width] = True
    return mask


def test_hand_computed_scores() -> None:
    maps = torch.tensor([[[5.0, 2.0, -9.0], [0.0, 3.0, -1.0]]])
    masks = torch.tensor([[[True, False, True], [True, True, False]]])
    assert activation_precision(maps, masks).item() == pytest.approx(8 / 10)
    assert activation_sensitivity(maps, masks).item() == pytest.approx((1 + 0 + 0 + 0.6) / 4)
    assert pointing_game(maps, masks).item() == 1


def test_a_negative_map_has_no_evidence_but_still_a_maximum() -> None:
    maps = torch.tensor([[[-1.0, -2.0]], [[0.0, 0.0]]])
    masks = torch.tensor([[[True, False]], [[True, False]]])
    assert activation_precision(maps, masks).tolist() == [0, 0]
    assert activation_sensitivity(maps, masks).tolist() == [0, 0]
    assert pointing_game(maps, masks).tolist() == [1, 0.5]


@pytest.mark.parametrize("metric", METRICS)
def test_an_image_without_annotation_has_no_score(metric) -> None:
    maps = torch.rand(2, 4, 4)
    masks = torch.zeros(2, 4, 4, dtype=torch.bool)
    masks[1, 0] = True
    assert metric(maps, masks).isnan().tolist() == [True, False]


@pytest.mark.parametrize("metric", METRICS)
@repeatable
@given(pair=maps_and_masks(), exponent=st.integers(-20, 20))
def test_scores_are_shares_and_ignore_positive_scaling(metric, pair, exponent) -> None:
    maps, masks = pair
    score = metric(maps, masks)
    assert score.shape == maps.shape[:1]
    assert ((score >= 0) & (score <= 1)).all()
    torch.testing.assert_close(metric(maps * 2.0**exponent, masks), score, rtol=0, atol=0)
    torch.testing.assert_close(metric(maps.double() * 0.37, masks).float(), score)


@repeatable
@given(pair=maps_and_masks())
def test_the_annotation_as_map_is_perfect(pair) -> None:
    _, masks = pair
    for metric in METRICS:
        assert (metric(masks.float(), masks) == 1).all()


@repeatable
@given(pair=maps_and_masks())
def test_the_uniform_map_scores_the_annotated_share(pair) -> None:
    _, masks = pair
    share = masks.float().mean(dim=(1, 2))
    torch.testing.assert_close(activation_precision(chance_map(masks), masks), share)
    torch.testing.assert_close(pointing_game(chance_map(masks), masks), share)
    assert (activation_sensitivity(chance_map(masks), masks) == 1).all()


@pytest.mark.parametrize("value", [0.3, -7.1, 123.456])
def test_a_constant_map_is_chance_after_upsampling_too(value: float) -> None:
    masks = torch.zeros(1, 37, 53, dtype=torch.bool)
    masks[:, :5, :7] = True
    upsampled = upsample_maps(torch.full((1, 7, 5), value), (37, 53))
    assert pointing_game(upsampled, masks).item() == pytest.approx(35 / (37 * 53))


@pytest.mark.parametrize("magnitude", [1e-38, 1e38])
def test_sums_neither_overflow_nor_vanish(magnitude: float) -> None:
    maps, masks = torch.full((1, 64, 64), magnitude), torch.zeros(1, 64, 64, dtype=torch.bool)
    masks[:, :16] = True
    assert activation_precision(maps, masks).item() == pytest.approx(0.25)


def test_half_precision_maps_are_summed_in_single_precision() -> None:
    maps, masks = torch.full((1, 512, 512), 300.0, dtype=torch.float16), torch.zeros(1, 512, 512, dtype=torch.bool)
    masks[:, :, :128] = True
    assert activation_precision(maps, masks).item() == pytest.approx(0.25)


@repeatable
@given(mask=lesions(), cells=st.sampled_from([1, 2, 4, 8, 16, 32]))
def test_the_ceiling_lies_between_chance_and_one(mask, cells) -> None:
    ceiling = activation_precision(ceiling_map(mask, (cells, cells)), mask).item()
    chance = activation_precision(chance_map(mask), mask).item()
    assert chance - 1e-6 <= ceiling <= 1
    if cells == 1:
        assert ceiling == pytest.approx(chance)
    if cells == 32:
        assert ceiling == 1


def test_the_ceiling_map_is_what_a_model_that_knows_the_cells_would_show() -> None:
    masks = torch.rand(2, 32, 48) < 0.1
    cells = avg_pool2d(masks.float()[:, None], 8)
    upsampled = interpolate(cells, size=(32, 48), mode="bilinear", align_corners=False)[:, 0]
    torch.testing.assert_close(ceiling_map(masks, (4, 6)), upsampled)


def test_upsampling_keeps_classes_apart() -> None:
    maps = torch.randn(2, 3, 4, 4)
    by_class = torch.stack([upsample_maps(maps[:, index], (9, 13)) for index in range(3)], dim=1)
    torch.testing.assert_close(upsample_maps(maps, (9, 13)), by_class)


def test_consistency_counts_cells_of_the_right_sign() -> None:
    maps = torch.tensor([[[1.0, 0.0], [2.0, -1.0]]]).expand(2, 2, 2)
    assert activation_consistency(maps, torch.tensor([True, False])).tolist() == [0.5, 0.25]
    metric = ActivationConsistency()
    metric.update(maps, torch.tensor([True, False]))
    assert metric.compute().item() == 0.375


def test_the_class_is_the_mean_over_annotated_images_however_they_are_batched() -> None:
    maps, masks = torch.randn(7, 6, 6), torch.rand(7, 6, 6) < 0.2
    masks[3] = False
    metric = ActivationPrecision()
    for chunk in (slice(0, 3), slice(3, 4), slice(4, 7)):
        metric.update(maps[chunk], masks[chunk])
    torch.testing.assert_close(metric.compute(), activation_precision(maps, masks).nanmean())


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_the_class_is_undefined_before_the_first_annotated_image() -> None:
    metric = ActivationPrecision()
    assert metric.compute().isnan()
    metric.reset()
    metric.update(torch.rand(2, 4, 4), torch.zeros(2, 4, 4, dtype=torch.bool))
    assert metric.compute().isnan()


@pytest.mark.parametrize("metric", METRICS)
def test_bad_input_is_one_sentence(metric) -> None:
    masks = torch.ones(1, 4, 4, dtype=torch.bool)
    with pytest.raises(DataError, match=r"^maps \(1, 2, 2\) and masks \(1, 4, 4\) must have one shape"):
        metric(torch.rand(1, 2, 2), masks)
    with pytest.raises(DataError, match=r"^masks must be bool, got torch\.uint8: pass masks > 0$"):
        metric(torch.rand(1, 4, 4), masks.byte())
    broken = torch.rand(3, 4, 4)
    broken[1, 2, 3] = torch.nan
    with pytest.raises(DataError, match=r"^the map of image 1 of the batch holds NaN or infinity"):
        metric(broken, masks.expand(3, 4, 4))


def test_consistency_refuses_labels_that_are_not_yes_or_no() -> None:
    with pytest.raises(DataError, match=r"diseased \(N,\) bool, got \(2, 4, 4\) and \(2,\) torch.int64"):
        activation_consistency(torch.rand(2, 4, 4), torch.tensor([0, 3]))
