from __future__ import annotations

from itertools import permutations

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor, nn

from softcam.errors import ConfigError, DataError
from softcam.metrics.faithfulness import deletion_curves, insertion_curves, removal_area
from softcam.metrics.grid import patch_ranks


def seeded(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


class Additive:
    """A model whose answer is a weighted sum of pixels, and what each pixel has to do with it."""

    def __init__(self, images: Tensor, baseline: Tensor, seed: int = 0) -> None:
        self.weights = seeded(seed, *images.shape[1:])
        self.contributions = ((images - baseline) * self.weights).sum(dim=1)

    def __call__(self, images: Tensor) -> Tensor:
        return (images * self.weights).sum(dim=(1, 2, 3))


@settings(deadline=None, max_examples=50)
@given(
    size=st.tuples(st.integers(1, 17), st.integers(1, 17)),
    patch=st.integers(1, 9),
    steps=st.integers(1, 20),
    at_once=st.integers(1, 6),
    seed=st.integers(0, 2**31),
)
def test_agrees_with_pasting_patch_by_patch(size, patch, steps, at_once, seed) -> None:
    images, baseline = seeded(seed, 3, 2, *size), seeded(seed + 1, 3, 2, *size)
    maps, weights = seeded(seed + 2, 3, *size), seeded(seed + 3, 2, *size)

    def predict(images: Tensor) -> Tensor:
        return (images * weights).mean(dim=(1, 2, 3)).tanh()

    curves = deletion_curves(predict, images, maps, baseline, patch=patch, steps=steps, steps_at_once=at_once)
    assert curves.shape == (3, steps + 1)
    ranks, _ = patch_ranks(maps, patch)
    pasted = images.clone()
    expected = [predict(pasted)]
    for turn in range(steps):
        for image, background, rank in zip(pasted, baseline, ranks, strict=True):
            image[:, rank == turn] = background[:, rank == turn]
        expected.append(predict(pasted))
    torch.testing.assert_close(curves, torch.stack(expected, dim=1))
    swapped = insertion_curves(predict, baseline, maps, images, patch=patch, steps=steps)
    torch.testing.assert_close(swapped, curves)


@settings(deadline=None, max_examples=40)
@given(rows=st.integers(1, 5), columns=st.integers(1, 5), patch=st.sampled_from([1, 3]), seed=st.integers(0, 2**31))
def test_curves_of_an_additive_model_are_known(rows, columns, patch, seed) -> None:
    images, baseline = seeded(seed, 2, 3, rows * patch, columns * patch), seeded(seed + 1, 2, 3, rows * patch, 1)
    baseline = baseline.expand_as(images)
    model = Additive(images, baseline)
    blocks = model.contributions.unfold(1, patch, patch).unfold(2, patch, patch).sum(dim=(3, 4)).flatten(1)
    taken = blocks.sort(dim=1, descending=True).values.cumsum(dim=1)
    options = {"patch": patch, "steps": rows * columns}
    deleted = deletion_curves(model, images, model.contributions, baseline, **options)
    torch.testing.assert_close(deleted[:, 1:], model(images)[:, None] - taken, atol=1e-3, rtol=1e-4)
    inserted = insertion_curves(model, images, model.contributions, baseline, **options)
    mirrored = (model(images) + model(baseline))[:, None] - deleted
    torch.testing.assert_close(inserted, mirrored, atol=1e-3, rtol=1e-4)


def test_no_order_beats_the_true_one() -> None:
    images = seeded(3, 1, 2, 4, 6)
    baseline = torch.zeros_like(images)
    model = Additive(images, baseline)
    ranks, count = patch_ranks(torch.arange(24.0).reshape(1, 4, 6), 2)
    assert count == 6
    orders = torch.tensor(list(permutations(range(6)))).float()
    maps = orders[:, ranks[0]]
    everywhere = [one.expand(len(maps), -1, -1, -1) for one in (images, baseline)]
    for curves_of, sign in ((deletion_curves, 1), (insertion_curves, -1)):
        options = {"patch": 2, "steps": 6}
        best = removal_area(curves_of(model, images, model.contributions, baseline, **options))
        areas = removal_area(curves_of(model, everywhere[0], maps, everywhere[1], **options))
        torch.testing.assert_close(sign * best[0], (sign * areas).min())
        assert (sign * areas).max() > sign * best[0] + 1


@pytest.mark.parametrize("maps", [torch.full((2, 9, 7), -4.0), torch.zeros(2, 9, 7), -torch.rand(2, 9, 7)])
def test_maps_without_positive_evidence_have_an_order(maps) -> None:
    images = torch.ones(2, 1, 9, 7)
    baseline = torch.zeros_like(images)

    def share_left(images: Tensor) -> Tensor:
        return images.mean(dim=(1, 2, 3))

    curves = deletion_curves(share_left, images, maps, baseline, patch=2, steps=40)
    assert torch.equal(curves, deletion_curves(share_left, images, maps, baseline, patch=2, steps=40))
    patches = 5 * 4
    assert (curves.diff(dim=1)[:, :patches] < 0).all()
    assert (curves[:, patches:] == 0).all()


def test_a_flat_map_removes_no_more_than_chance() -> None:
    images = seeded(0, 1, 1, 64, 64)
    baseline = torch.zeros_like(images)
    model = Additive(images, baseline)
    options = {"patch": 4, "steps": 256}
    straight = torch.linspace(1, 0, 257) * model(images)
    flat = deletion_curves(model, images, torch.ones(1, 64, 64), baseline, **options)[0]
    true = deletion_curves(model, images, model.contributions, baseline, **options)[0]
    assert (flat - straight).abs().mean() < 0.2 * (true - straight).abs().mean()


@pytest.mark.parametrize("broken", [torch.nan, torch.inf, -torch.inf])
def test_a_map_that_is_not_finite_spoils_its_own_image_only(broken) -> None:
    images, maps = seeded(0, 3, 1, 8, 8), seeded(1, 3, 8, 8)
    baseline = torch.zeros_like(images)
    model = Additive(images, baseline)
    whole = deletion_curves(model, images, maps, baseline, patch=2, steps=5)
    maps[1, 3, 3] = broken
    curves = deletion_curves(model, images, maps, baseline, patch=2, steps=5)
    assert curves[1].isnan().all()
    assert torch.equal(curves[[0, 2]], whole[[0, 2]])


def test_each_image_costs_a_forward_pass_per_step_and_one() -> None:
    images, maps = seeded(0, 3, 1, 16, 16), seeded(1, 3, 16, 16)
    for at_once, batches in ((1, [3] * 11), (4, [12, 12, 9]), (50, [33])):
        sizes = []

        def predict(images: Tensor, sizes: list[int] = sizes) -> Tensor:
            sizes.append(len(images))
            return images.mean(dim=(1, 2, 3))

        deletion_curves(predict, images, maps, torch.zeros_like(images), patch=2, steps=10, steps_at_once=at_once)
        assert sizes == batches


def test_several_numbers_per_image_and_no_gradients() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 5))
    images = seeded(0, 2, 1, 9, 9)
    curves = deletion_curves(model, images, images[:, 0], torch.zeros_like(images), patch=3, steps=4)
    assert curves.shape == (2, 5, 5)
    assert not curves.requires_grad
    torch.testing.assert_close(curves[:, 0], model(images).detach())


def test_inputs_that_do_not_fit_are_named() -> None:
    images, maps = torch.rand(2, 3, 8, 8), torch.rand(2, 8, 8)
    options = {"patch": 2, "steps": 3}
    with pytest.raises(DataError, match=r"got \(2, 3, 8, 8\), \(2, 3, 8, 8\) and \(2, 4, 4\): upsample_maps"):
        deletion_curves(Tensor.sum, images, maps[:, ::2, ::2], images, **options)
    with pytest.raises(DataError, match=r"got \(2, 3, 8, 8\), \(1, 3, 8, 8\)"):
        deletion_curves(Tensor.sum, images, maps, images[:1], **options)
    with pytest.raises(DataError, match=r"predict gave \(1, 3\) for 2 images: it must give one row for each"):
        deletion_curves(lambda x: x[:1].mean(dim=(2, 3)), images, maps, images, **options)
    with pytest.raises(ConfigError, match="steps and steps_at_once of at least 1, got 0 and 1"):
        insertion_curves(Tensor.sum, images, maps, images, patch=2, steps=0)
    with pytest.raises(ConfigError, match="at least 1 px"):
        insertion_curves(Tensor.sum, images, maps, images, patch=0, steps=1)


@settings(deadline=None, max_examples=30)
@given(steps=st.integers(1, 40), seed=st.integers(0, 2**31))
def test_area_is_the_mean_height_of_the_broken_line(steps, seed) -> None:
    curve = torch.rand(steps + 1, generator=torch.Generator().manual_seed(seed))
    expected = (curve[1:] + curve[:-1]).mean() / 2
    torch.testing.assert_close(removal_area(curve), expected)
    assert curve.min() - 1e-6 <= removal_area(curve) <= curve.max() + 1e-6
    torch.testing.assert_close(removal_area(torch.linspace(1, 0, steps + 1)), torch.tensor(0.5))
