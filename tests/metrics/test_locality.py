from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from softcam.errors import ConfigError, DataError
from softcam.metrics.locality import Completeness, Locality, completeness_error, locality, locality_terms


def images(count: int = 8, size: int = 32) -> Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(3))


def per_cell_network() -> nn.Module:
    """Each cell sees its own 4×4 pixels and no other."""
    return nn.Sequential(nn.Conv2d(3, 8, 4, stride=4), nn.ReLU(), nn.Conv2d(8, 2, 1)).eval()


def global_average(x: Tensor) -> Tensor:
    return x.mean(dim=(2, 3), keepdim=True).expand(-1, -1, 8, 8)


@settings(deadline=None, max_examples=20, derandomize=True)
@given(count=st.integers(2, 5), rows=st.integers(1, 6), columns=st.integers(2, 6), seed=st.integers(0, 999))
def test_cells_that_see_only_themselves_score_one(count, rows, columns, seed) -> None:
    x = torch.randn(count, 3, 4 * rows, 4 * columns, generator=torch.Generator().manual_seed(seed))
    assert locality(per_cell_network(), x, seed=seed, rounds=2).item() == pytest.approx(1, abs=1e-5)


def test_a_map_of_the_global_average_scores_low() -> None:
    assert locality(global_average, images()).item() < 0.5


def test_locality_falls_with_the_share_that_is_not_local() -> None:
    scores = [
        locality(lambda x, share=share: avg_pool2d(x, 4) + share * global_average(x), images()).item()
        for share in (0, 0.5, 1, 2)
    ]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == pytest.approx(1)
    assert scores[-1] < 0.9


def test_wider_receptive_fields_score_lower() -> None:
    narrow, wide = (nn.AvgPool2d(k, stride=1, padding=k // 2, count_include_pad=False) for k in (3, 15))
    assert 1 > locality(narrow, images()) > locality(wide, images())


def test_agrees_with_the_formula_for_a_pair_by_hand() -> None:
    """Two images of 1×2 cells: the only rectangles are the left or the right cell, the only pair is (a, b)."""
    x = torch.tensor([[[[1.0, 2.0]]], [[[-3.0, 5.0]]]])

    def smeared(x: Tensor) -> Tensor:
        return x + 0.5 * x.flip(-1)

    maps = smeared(x)
    scores = set()
    for first in ([True, False], [False, True]):
        for second in ([True, False], [False, True]):
            inside = torch.tensor([first, second])[:, None, None]
            mixed, composed = torch.where(inside, x, x.flip(0)), torch.where(inside, maps, maps.flip(0))
            scores.add(round(1 - ((smeared(mixed) - composed).abs().mean() / composed.abs().mean()).item(), 5))
    drawn = {round(locality(smeared, x, seed=seed).item(), 5) for seed in range(40)}
    assert drawn == scores


def test_an_offset_that_all_images_share_raises_the_score() -> None:
    plain, offset = locality(global_average, images()), locality(lambda x: global_average(x) + 10, images())
    assert plain < 0.5 < 0.95 < offset < 1


def test_scale_does_not_count_and_seeds_repeat() -> None:
    def scaled(x: Tensor) -> Tensor:
        return 16 * global_average(x)

    assert locality(scaled, images(), seed=4) == locality(global_average, images(), seed=4)
    assert locality(scaled, images(), seed=4) != locality(global_average, images(), seed=5)


def test_a_coarse_grid_puts_maps_of_every_resolution_on_the_same_rectangles() -> None:
    fine = locality(lambda x: global_average(x).repeat(1, 1, 4, 4), images(), grid=(8, 8))
    torch.testing.assert_close(fine, locality(global_average, images()))


def test_an_image_is_never_its_own_partner() -> None:
    """A pair of one image with itself would compose perfectly, whatever the map does."""
    constant = torch.arange(1.0, 6.0)[:, None, None, None].expand(5, 1, 4, 6)
    seen: list[Tensor] = []

    def remember(x: Tensor) -> Tensor:
        seen.append(x)
        return x

    locality(remember, constant, rounds=20)
    assert len(seen) == 21
    assert all(len(image.unique()) == 2 for mixed in seen[1:] for image in mixed)


def test_opposite_images_by_closed_form() -> None:
    """±1 mixed at share f of the first average to 2f − 1: the score is 1 − 4 f (1 − f), f = 1/2 for 1×2 cells."""
    opposite = torch.tensor([1.0, -1.0])[:, None, None, None].expand(2, 1, 4, 4)
    halves = locality(lambda x: x.mean(dim=(2, 3), keepdim=True).expand(-1, -1, 1, 2), opposite)
    assert halves.item() == pytest.approx(0)


def test_image_sizes_that_cells_do_not_divide() -> None:
    network = nn.Conv2d(3, 2, 7, stride=7)
    assert 0 < locality(network, torch.randn(4, 3, 50, 52)).item() <= 1


def test_zero_maps_say_nothing() -> None:
    assert locality(torch.zeros_like, images()).isnan()


def test_terms_per_image_make_up_the_score() -> None:
    residual, reference = locality_terms(global_average, images(), rounds=3)
    assert residual.shape == reference.shape == (8,)
    torch.testing.assert_close(1 - residual.mean() / reference.mean(), locality(global_average, images(), rounds=3))


def test_class_streams_the_two_sums() -> None:
    def smeared(x: Tensor) -> Tensor:
        return avg_pool2d(x, 4) + global_average(x)

    metric = Locality(rounds=2)
    for chunk in images(9).split(4):
        metric.update(smeared, chunk)
    assert metric.compute().item() == pytest.approx(locality(smeared, images(9), rounds=2).item(), abs=0.1)
    local = Locality()
    local.update(per_cell_network(), images())
    local.update(torch.inference_mode()(per_cell_network()), images())
    assert local.compute().item() == pytest.approx(1, abs=1e-5)
    assert not local.residual.requires_grad


def test_explainers_may_use_gradients() -> None:
    network = per_cell_network()

    def saliency(x: Tensor) -> Tensor:
        x = x.requires_grad_()
        return torch.autograd.grad(network(x).sum(), x)[0]

    metric = Locality(grid=(8, 8))
    metric.update(saliency, images())
    assert metric.compute().item() == pytest.approx(1, abs=1e-4)


def test_bad_input_is_one_sentence() -> None:
    with pytest.raises(DataError, match="at least two images"):
        locality(global_average, images(1))
    with pytest.raises(DataError, match=r"needs maps \(N, K, h, w\), got \(8, 32, 32\) for 8 images"):
        locality(lambda x: x[:, 0], images())
    with pytest.raises(DataError, match="the map of image 0 of the batch holds NaN"):
        locality(lambda x: x * torch.nan, images())
    with pytest.raises(ConfigError, match="map of 8×8 cells by a grid of 3×8"):
        locality(global_average, images(), grid=(3, 8))
    with pytest.raises(ConfigError, match="map of 1×1 cells by a grid of 1×1"):
        locality(lambda x: x.mean(dim=(2, 3), keepdim=True), images())
    with pytest.raises(ConfigError, match="rounds=0"):
        locality(global_average, images(), rounds=0)


def test_completeness_is_the_largest_gap() -> None:
    maps = torch.randn(3, 2, 5, 5)
    logits = maps.mean(dim=(2, 3))
    assert completeness_error(maps, logits) < 1e-6
    metric = Completeness()
    for gap in (0.25, -0.75, 0.5):
        shifted = logits.clone()
        shifted[1, 0] += gap
        metric.update(maps, shifted)
    assert metric.compute().item() == pytest.approx(0.75)
    with pytest.raises(DataError, match=r"maps \(3, 2, 5, 5\) and logits \(3, 1\)"):
        completeness_error(maps, logits[:, :1])
