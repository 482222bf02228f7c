"""A manifest as a torch dataset."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import tv_tensors

from softcam.data.annotations import Outlines, annotation_problems, mask_from_coverage, rasterize, read_masks
from softcam.data.images import read_image
from softcam.data.manifest import Manifest
from softcam.data.sample import Sample
from softcam.data.transforms import SampleTransform
from softcam.errors import DataError
from softcam.model.task import Task


class ManifestDataset(Dataset[dict[str, Any]]):
    """The images of a manifest as network inputs.

    Item ``i`` is a dict of

    - ``image``: what the transform makes of the image, ``(C, h, w)`` float32;
    - ``target``: the class as int64 scalar (multi-class), or one number 0.0 or 1.0 per output as float32
      ``(K,)`` (binary with K = 1, multi-label);
    - ``index``: ``i``;
    - and with ``annotations``: ``mask``, bool ``(h, w)``, boxes, points and masks drawn at the size of the
      network's input after moving with the image; ``annotated``, whether there were any.

    torch's default collation makes batches of them.

    Args:
        manifest: The images.
        transform: From `softcam.data.transforms`. Another one must move `tv_tensors.Mask` and
            `softcam.data.annotations.Outlines` with the image, if annotations are asked for.
        task: What the network's outputs mean.
        annotations: Whether to draw the annotations.

    Raises:
        DataError: If the manifest is empty, or its labels are not those of the task. An image, mask, box or
            point that is wrong raises it when the item is read, naming the file.
    """

    def __init__(
        self, manifest: Manifest, transform: SampleTransform, task: Task, *, annotations: bool = False
    ) -> None:
        if not len(manifest):
            raise DataError(f"{manifest.path or 'The manifest'} has no image to use; check its split column.")
        self.manifest = manifest
        self.transform = transform
        self.task = task
        self.annotations = annotations
        _check_labels(manifest, task)

    def __len__(self) -> int:
        return len(self.manifest)

    def __getitem__(self, index: int) -> dict[str, Any]:
        sample = self.manifest.samples[index]
        pixels = read_image(sample.image).pixels
        inputs: dict[str, Any] = {"image": tv_tensors.Image(pixels)}
        if self.annotations:
            inputs |= _annotation_tensors(sample, (pixels.shape[-2], pixels.shape[-1]))
        outputs = self.transform(inputs)
        image = outputs["image"].as_subclass(Tensor)
        item = {"image": image, "target": self.targets[index], "index": index}
        if self.annotations:
            item["mask"] = _drawn(outputs, (image.shape[-2], image.shape[-1]))
            item["annotated"] = bool(sample.annotations)
        return item

    @cached_property
    def targets(self) -> Tensor:
        """The targets of all items: int64 ``(N,)`` for multi-class, else float32 ``(N, K)``."""
        samples = self.manifest.samples
        if self.task is Task.MULTICLASS:
            return torch.tensor([sample.labels[0] for sample in samples])
        targets = torch.zeros(len(samples), len(self.manifest.classes))
        for row, sample in zip(targets, samples, strict=True):
            row[list(sample.labels)] = 1
        return targets[:, -1:] if self.task is Task.BINARY else targets


def class_counts(manifest: Manifest) -> Tensor:
    """Count the images of each class, for weights and balanced sampling.

    Args:
        manifest: The images; one with several labels counts for each of them.

    Returns:
        int64 ``(K,)``.
    """
    labels = [label for sample in manifest.samples for label in sample.labels]
    return torch.bincount(torch.tensor(labels, dtype=torch.int64), minlength=len(manifest.classes))


def _check_labels(manifest: Manifest, task: Task) -> None:
    source, count = manifest.path or "The manifest", len(manifest.classes)
    if task is Task.BINARY and count > 2:
        raise DataError(f"{source} has {count} classes; a binary task has 1 or 2, choose the multiclass one.")
    several = task is Task.MULTILABEL
    none = several or (task is Task.BINARY and count == 1)
    for sample in manifest.samples:
        if (len(sample.labels) > 1 and not several) or (not sample.labels and not none):
            raise DataError(
                f"{sample.image} has {len(sample.labels)} labels; give it one, or choose the multilabel task."
            )


def _annotation_tensors(sample: Sample, size: tuple[int, int]) -> dict[str, Any]:
    for problem in annotation_problems(sample, size):
        raise DataError(problem)
    tensors: dict[str, Any] = {"outlines": Outlines.of(sample.annotations, size)}
    if sample.annotations.masks:
        tensors["mask"] = read_masks(sample.annotations.masks, sample.image, size)
    return tensors


def _drawn(outputs: dict[str, Any], size: tuple[int, int]) -> Tensor:
    drawn = rasterize(outputs["outlines"], size)
    if "mask" in outputs:
        drawn |= mask_from_coverage(outputs["mask"].as_subclass(Tensor).float())[0]
    return drawn
