"""Explaining by what happens to a decision when parts of the image are hidden."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from softcam.explainers.captum import load_captum
from softcam.explainers.explanation import Explanation, ModelExplainer, of_class
from softcam.model.evidence import SoftCAM
from softcam.model.task import Task


class Occlusion(ModelExplainer):
    """How much a class's logit falls when a sliding square is set to zero, averaged over the squares: signed.

    `Zeiler & Fergus 2014 <https://arxiv.org/abs/1311.2901>`_, section 4.2, by captum. Zero is the mean colour of
    the data set after normalisation. The squares move by half their side.

    Args:
        name: What tables call it.
        model: Any classifier.
        steps: How often a square moves by half its side along the shorter side of the image: at 16 the square is
            an eighth of that side.
        batch_size: Occluded images to classify at once, or the size of the batch where that is larger.

    Raises:
        ConfigError: captum is not installed.
    """

    def __init__(self, name: str, model: nn.Module, steps: int = 16, batch_size: int = 32) -> None:
        super().__init__(name, model)
        self.steps, self.batch_size = steps, batch_size
        self._attr = load_captum(name)

    @torch.no_grad()
    def _explain(self, images: Tensor, classes: Tensor) -> Explanation:
        channels, height, width = images.shape[1:]
        stride = max(1, min(height, width) // self.steps)
        side = min(2 * stride, height, width)
        attributions: Tensor = self._attr.Occlusion(self._classifier(classes)).attribute(
            images,
            sliding_window_shapes=(channels, side, side),
            strides=(channels, stride, stride),
            target=classes,
            perturbations_per_eval=max(1, self.batch_size // len(images)),
        )
        cells = math.ceil(height / stride), math.ceil(width / stride)
        squares = math.prod(1 + math.ceil((length - side) / stride) for length in (height, width))
        return Explanation(attributions[:, 0].float(), cells, 1 + squares)


class RISE(ModelExplainer):
    """The mean probability of a class over random masks that show a pixel, less that over all masks: signed.

    `Petsiuk et al. 2018 <https://arxiv.org/abs/1806.07421>`_, eq. 6, with the share of masks that show a pixel
    counted, not expected. The published map is this one plus the mean probability, the same for every pixel; it
    orders the pixels alike, but gives an image without any evidence a positive map. All images get the same masks.

    Args:
        name: What tables call it.
        model: Any classifier.
        masks: How many; the published numbers, 4000 to 8000, are slow.
        cells: Cells of a mask along each side.
        shown: Probability that a cell is shown.
        task: How a black box's logits become probabilities; by default softmax, for one output sigmoid.
        batch_size: Masked images to classify at once.
        seed: Of the masks.
    """

    def __init__(
        self,
        name: str,
        model: nn.Module,
        masks: int = 1000,
        cells: int = 7,
        shown: float = 0.5,
        task: Task | None = None,
        batch_size: int = 32,
        seed: int = 0,
    ) -> None:
        super().__init__(name, model)
        self.masks, self.cells, self.shown = masks, cells, shown
        self.task = model.task if isinstance(model, SoftCAM) else task
        self.batch_size, self.seed = batch_size, seed

    @torch.no_grad()
    def _explain(self, images: Tensor, classes: Tensor) -> Explanation:
        classify = self._classifier(classes)
        weighted = images.new_zeros(len(images), *images.shape[2:])
        shown, total = torch.zeros_like(weighted[0]), images.new_zeros(len(images))
        for masks in self._mask_batches((images.shape[2], images.shape[3])):
            masks = masks.to(images)
            shown += masks.sum(dim=0)
            for index, image in enumerate(images):
                scores = self._scores(classify(image * masks.unsqueeze(1)), classes[index])
                weighted[index] += torch.einsum("b,bhw->hw", scores, masks)
                total[index] += scores.sum()
        maps = weighted / shown - (total / self.masks).view(-1, 1, 1)
        return Explanation.from_pixels(maps, self.masks)

    def _scores(self, logits: Tensor, wanted: Tensor) -> Tensor:
        task = self.task or Task.infer(logits.shape[1])
        return of_class(task.probabilities(logits), wanted.expand(len(logits)))

    def _mask_batches(self, size: tuple[int, int]) -> Iterator[Tensor]:
        generator = torch.Generator().manual_seed(self.seed)
        for start in range(0, self.masks, self.batch_size):
            count = min(self.batch_size, self.masks - start)
            yield random_masks(count, size, self.cells, self.shown, generator)


def random_masks(count: int, size: tuple[int, int], cells: int, shown: float, generator: torch.Generator) -> Tensor:
    """Return smooth random masks ``(count, H, W)`` in [0, 1] (Petsiuk et al. 2018, section 3.2).

    A grid of ``cells`` × ``cells`` zeros and ones is enlarged, bilinearly, to one cell more than the image and
    shifted by a random part of a cell.
    """
    height, width = (math.ceil(length / cells) for length in size)
    grids = (torch.rand(count, 1, cells, cells, generator=generator) < shown).float()
    enlarged_size = ((cells + 1) * height, (cells + 1) * width)
    enlarged = F.interpolate(grids, enlarged_size, mode="bilinear", align_corners=False)[:, 0]
    tops = torch.randint(height, (count,), generator=generator).tolist()
    lefts = torch.randint(width, (count,), generator=generator).tolist()
    shifted = [
        mask[top : top + size[0], left : left + size[1]] for mask, top, left in zip(enlarged, tops, lefts, strict=True)
    ]
    return torch.stack(shifted)
