from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings, strategies as st
from torch import Tensor, nn

from softcam.explainers.perturbation import RISE, Occlusion, random_masks
from softcam.model.task import Task
from tests.explainers.networks import NETWORKS, LinearClassifier, batch

CLASSES = torch.tensor([0, 1, 2, 1])


def test_occlusion_of_a_linear_network_is_what_its_squares_add_to_the_logit() -> None:
    model, images = LinearClassifier(), batch(4)
    explanation = Occlusion("occlusion", model, steps=4)(images, CLASSES)
    added = (model.kernels[CLASSES] * images).sum(1, keepdim=True)
    squares = 64 * F.avg_pool2d(added, 8, stride=4)  # 3 × 3 overlapping squares of 8 px
    coverage = F.conv_transpose2d(torch.ones_like(squares), torch.ones(1, 1, 8, 8), stride=4)
    expected = F.conv_transpose2d(squares, torch.ones(1, 1, 8, 8), stride=4) / coverage
    torch.testing.assert_close(explanation.maps, expected[:, 0], rtol=1e-3, atol=1e-4)
    assert explanation.map_size == (4, 4)
    assert explanation.forward_passes == 1 + 9


@settings(max_examples=15, deadline=None)
@given(height=st.integers(1, 23), width=st.integers(1, 23), steps=st.integers(1, 20))
def test_occlusion_counts_its_passes_and_covers_images_of_any_size(height: int, width: int, steps: int) -> None:
    model = LinearClassifier(1, height, width)
    seen: list[int] = []
    model.register_forward_hook(lambda module, inputs, output: seen.append(len(output)))
    explanation = Occlusion("occlusion", model, steps=steps)(batch(1, (height, width), channels=1), CLASSES[:1])
    assert sum(seen) == explanation.forward_passes
    assert explanation.maps.shape == (1, height, width)
    assert explanation.maps.isfinite().all()


class OnePixel(nn.Module):
    """One logit: the value of one pixel, so small that the sigmoid is a straight line."""

    def __init__(self, row: int, column: int, weight: float = 0.01) -> None:
        super().__init__()
        self.place, self.weight = (row, column), weight

    def forward(self, images: Tensor) -> Tensor:
        return self.weight * images[:, 0, self.place[0], self.place[1]].unsqueeze(1)


def expected_covariance(size: int, cells: int, shown: float) -> Tensor:
    """Return the covariance ``(size, size)`` of any two pixels of a mask along one axis, over grids and shifts.

    A mask is ``Σ_i b_i φ_i(λ + shift)`` with independent ``b_i``; along one axis ``E[φφ]`` is all there is to it.
    """
    cell = -(-size // cells)
    basis = F.interpolate(torch.eye(cells)[:, None], (cells + 1) * cell, mode="linear", align_corners=False)[:, 0]
    shifted = torch.stack([basis[:, shift : shift + size] for shift in range(cell)])
    return torch.einsum("sil,sim->lm", shifted, shifted) / cell


def test_rise_of_one_pixel_is_the_covariance_of_its_masks() -> None:
    size, cells, shown = 12, 3, 0.4
    model, images = OnePixel(4, 7), torch.ones(1, 1, size, size)
    maps = RISE("rise", model, masks=40_000, cells=cells, shown=shown, batch_size=5000)(images, torch.tensor([0])).maps
    along = expected_covariance(size, cells, shown)
    expected = 0.01 / 4 * (1 - shown) * along[4][:, None] * along[7][None, :]  # the sigmoid's slope is 1/4
    torch.testing.assert_close(maps[0], expected, rtol=0, atol=0.03 * float(expected.max()))


def test_rise_takes_the_published_map_less_the_mean_probability() -> None:
    model, images = NETWORKS["black box"](), batch(2)
    classes = torch.tensor([2, 0])
    generator = torch.Generator().manual_seed(3)
    masks = random_masks(10, (16, 16), 7, 0.5, generator)
    maps = RISE("rise", model, masks=10, seed=3)(images, classes).maps
    for image, wanted, got in zip(images, classes, maps, strict=True):
        scores = model(image * masks[:, None]).softmax(1)[:, wanted].detach()
        published = torch.einsum("b,bhw->hw", scores, masks) / masks.sum(0)
        torch.testing.assert_close(got, published - scores.mean(), rtol=1e-4, atol=1e-6)


def test_rise_finds_nothing_where_nothing_depends_on_the_image() -> None:
    class Constant(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return torch.tensor([[1.0, 2.0]]).expand(len(images), 2)

    maps = RISE("rise", Constant(), masks=64)(batch(2), torch.tensor([0, 1])).maps
    assert maps.abs().max() < 1e-6


@pytest.mark.parametrize("task", [Task.MULTICLASS, Task.MULTILABEL])
def test_rise_asks_the_task_for_probabilities(task: Task) -> None:
    model, images = NETWORKS["black box"](), batch(1)
    maps = RISE("rise", model, masks=8, task=task)(images, CLASSES[:1]).maps
    masks = random_masks(8, (16, 16), 7, 0.5, torch.Generator().manual_seed(0))
    scores = task.probabilities(model(images * masks[:, None]))[:, 0].detach()
    expected = torch.einsum("b,bhw->hw", scores, masks) / masks.sum(0) - scores.mean()
    torch.testing.assert_close(maps[0], expected, rtol=1e-4, atol=1e-6)


def test_rise_in_chunks_is_the_same_up_to_its_masks() -> None:
    model = OnePixel(3, 3)
    first = RISE("rise", model, masks=3000, batch_size=3000)(torch.ones(1, 1, 9, 9), torch.tensor([0])).maps
    second = RISE("rise", model, masks=3000, batch_size=7)(torch.ones(1, 1, 9, 9), torch.tensor([0])).maps
    torch.testing.assert_close(first, second, rtol=0, atol=0.2 * float(first.max()))


@settings(max_examples=25, deadline=None)
@given(
    height=st.integers(1, 40), width=st.integers(1, 40), cells=st.integers(1, 9), shown=st.sampled_from([0.0, 0.5, 1.0])
)
def test_masks_have_the_size_of_the_image_and_show_what_they_should(
    height: int, width: int, cells: int, shown: float
) -> None:
    masks = random_masks(3, (height, width), cells, shown, torch.Generator().manual_seed(0))
    assert masks.shape == (3, height, width)
    assert masks.min() >= 0
    assert masks.max() <= 1 + 1e-6
    if shown != 0.5:
        torch.testing.assert_close(masks, torch.full_like(masks, shown))
