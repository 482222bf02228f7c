from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import nn

import softcam
from softcam import Convention, ElasticNet, MixConsistency
from softcam.losses import random_rectangle
from tests.model.networks import TinyNet


def test_elastic_net_of_a_hand_computed_map() -> None:
    maps = torch.tensor([[[[1.0, -3.0]]], [[[2.0, 0.0]]]])
    assert ElasticNet(l1=2)(maps) == pytest.approx(2 * 6 / 4)
    assert ElasticNet(l2=2)(maps) == pytest.approx(2 * 14 / 4)


def test_paper_convention_takes_sums_of_the_first_image_and_the_norm() -> None:
    maps = torch.tensor([[[[3.0, -4.0]]], [[[100.0, 100.0]]]])
    assert ElasticNet(l1=0.1, l2=2, convention=Convention.PAPER)(maps) == pytest.approx(0.1 * 7 + 2 * 5)


@given(n=st.integers(1, 4), k=st.integers(1, 4), h=st.integers(1, 6), w=st.integers(1, 6))
@settings(max_examples=25, deadline=None)
def test_conventions_convert_by_the_number_of_values(n: int, k: int, h: int, w: int) -> None:
    maps = torch.randn(1, k, h, w, dtype=torch.float64).expand(n, -1, -1, -1)
    paper = ElasticNet(l1=0.3, convention=Convention.PAPER)(maps)
    torch.testing.assert_close(ElasticNet(l1=0.3 * k * h * w)(maps), paper)


def test_elastic_net_has_the_gradient_of_its_formula() -> None:
    maps = torch.randn(2, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(ElasticNet(l1=0.2, l2=0.5)(maps), maps)
    torch.testing.assert_close(gradient, (0.2 * maps.sign() + maps).detach() / maps.numel())
    assert torch.autograd.gradcheck(ElasticNet(l1=0.2, l2=0.5, convention=Convention.PAPER), (maps,))


def test_gradients_at_empty_evidence_are_finite() -> None:
    maps = torch.zeros(1, 2, 2, 2, requires_grad=True)
    ElasticNet(l1=1, l2=1, convention=Convention.PAPER)(maps).backward()
    assert torch.isfinite(maps.grad).all()


def test_gradient_accumulation_gives_the_gradient_of_the_whole_batch() -> None:
    maps = torch.randn(6, 2, 3, 3, dtype=torch.float64)
    penalty = ElasticNet(l1=0.1, l2=0.2)
    parts = sum(penalty(part) / 3 for part in maps.chunk(3))
    torch.testing.assert_close(parts, penalty(maps))


@pytest.mark.parametrize("value", [-1, math.nan, math.inf])
def test_weights_are_checked(value: float) -> None:
    with pytest.raises(softcam.ConfigError, match="l1 is"):
        ElasticNet(l1=value)
    with pytest.raises(softcam.ConfigError, match="weight is"):
        MixConsistency(weight=value)


@pytest.mark.parametrize("fraction", [0, -0.5, 1.5])
def test_the_fraction_is_checked(fraction: float) -> None:
    with pytest.raises(softcam.ConfigError, match="must lie in"):
        MixConsistency(fraction=fraction)


def local_model() -> softcam.SoftCAM:
    """Each cell sees its own 4×4 patch and nothing else."""
    return softcam.SoftCAM(nn.Conv2d(3, 5, 4, stride=4), softcam.ClassEvidence(5, 2))


class Everywhere(nn.Module):
    """Each cell shows the mean of the image."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean((2, 3), keepdim=True).expand(-1, -1, 4, 4)


def test_evidence_that_is_local_costs_nothing() -> None:
    model, images = local_model(), torch.randn(6, 3, 32, 32)
    _, maps = model(images, return_evidence=True)
    assert MixConsistency()(model, images, maps) < 1e-6


def test_evidence_that_is_not_local_costs_what_the_formula_says() -> None:
    torch.manual_seed(0)
    model = softcam.SoftCAM(Everywhere(), softcam.ClassEvidence(3, 2))
    images = torch.randn(8, 3, 16, 16)
    mix = MixConsistency(weight=3, fraction=1)
    mixed = mix.sample(images, (4, 4))
    _, maps = model(images, return_evidence=True)
    _, mixed_maps = model(mixed.images, return_evidence=True)
    mask = mixed.mask.double()
    composed = mask * maps[mixed.first] + (1 - mask) * maps[mixed.second]
    expected = 3 * (mixed_maps - composed).abs().mean()
    assert expected > 0.01
    penalty = mix.penalty(mixed_maps, mixed.compose(maps))
    torch.testing.assert_close(penalty.double(), expected.double())


@given(n=st.integers(2, 9), fraction=st.floats(0.05, 1), cells=st.integers(2, 6), factor=st.integers(1, 5))
@settings(max_examples=30, deadline=None)
def test_mixed_images_are_cut_along_cells(n: int, fraction: float, cells: int, factor: int) -> None:
    images = torch.arange(n).view(n, 1, 1, 1).expand(-1, 2, cells * factor, cells * factor).float()
    mixed = MixConsistency(fraction=fraction).sample(images, (cells, cells))
    assert len(mixed.images) == max(1, round(fraction * n))
    assert (mixed.first != mixed.second).all()
    in_pixels = mixed.mask.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    expected = torch.where(in_pixels, mixed.first.view(-1, 1, 1, 1), mixed.second.view(-1, 1, 1, 1))
    torch.testing.assert_close(mixed.images, expected.expand_as(mixed.images).float())


@given(size=st.lists(st.integers(1, 20), min_size=2, max_size=3))
@settings(max_examples=50, deadline=None)
def test_rectangles_are_solid_and_not_empty(size: list[int]) -> None:
    mask = random_rectangle(tuple(size))
    assert mask.shape == tuple(size)
    inside = mask.nonzero()
    low, high = inside.min(0).values, inside.max(0).values
    assert len(inside) == int((high - low + 1).prod())
    sides = (high - low + 1).tolist()
    assert all(side < cells or cells == 1 for side, cells in zip(sides, size, strict=True))


def test_both_forms_in_a_training_step_reach_every_weight() -> None:
    model = softcam.convert(TinyNet()).train()
    images = torch.randn(4, 3, 32, 32)
    mix = MixConsistency()
    mixed = mix.sample(images, model.map_size(32, 32))
    _, maps = model(torch.cat([images, mixed.images]), return_evidence=True)
    mix.penalty(maps[4:], mixed.compose(maps[:4])).backward()
    assert all(p.grad is not None for name, p in model.named_parameters() if "bias" not in name)
