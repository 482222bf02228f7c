"""A trained model for other runtimes: written, read back and compared before it gets its name."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import torch

from softcam.data.images import find_images
from softcam.delivery.agreement import Agreement, Network, compare_networks
from softcam.delivery.onnx_export import write_onnx
from softcam.delivery.onnx_model import SUFFIX, OnnxModel
from softcam.delivery.outputs import ExportedNetwork, metadata
from softcam.delivery.torch_export import open_torch, trace, write_torch
from softcam.explainers.evidence import self_explaining
from softcam.files import atomic_path
from softcam.model.checkpoint import Checkpoint
from softcam.reporting.explain import preprocessing_of


class Target(StrEnum):
    """What a model is exported to.

    Attributes:
        ONNX: One ``.onnx`` file for ONNX Runtime and others.
        TORCH: One ``.pt2`` file for ``torch.export.load``.
    """

    ONNX = "onnx"
    TORCH = "torch"

    @property
    def suffix(self) -> str:
        """Of its files."""
        return SUFFIX if self is Target.ONNX else ".pt2"


@dataclass(frozen=True)
class Export:
    """A model that was exported.

    Attributes:
        file: What was written.
        target: What it is for.
        bytes: Its size.
        agreement: How far its outputs are from PyTorch's.
    """

    file: Path
    target: Target
    bytes: int
    agreement: Agreement


def export_model(
    checkpoint: Checkpoint, path: str | Path, target: Target = Target.ONNX, images: Iterable[str | Path] = ()
) -> Export:
    """Write a model, with its evidence as outputs, into one file for another runtime.

    Outputs, their meaning and the metadata are those of :mod:`softcam.delivery.outputs`. Batch, height and width of
    the images are free. The file is read back and run on generated and on given images before it gets its name.

    Args:
        checkpoint: The model. A black box whose conversion is exact is converted.
        path: The file to write.
        target: What it is for.
        images: Image files and folders to compare on, beside the generated images.

    Returns:
        What was written, and how far it is from PyTorch.

    Raises:
        ConversionError: The model is a black box that cannot be converted without changing its decisions, cannot be
            expressed, or gives something else than in PyTorch; nothing was written then.
        CheckpointError: The model's card does not say how to prepare images.
        ConfigError: The extra that the target needs is not installed.
        DataError: An image cannot be read.
    """
    path, files = Path(path), [file for each in images for file in find_images(Path(each))]
    preprocessing = preprocessing_of(checkpoint.card)
    example = torch.zeros(1, preprocessing.channels, *preprocessing.size)
    model = copy.deepcopy(self_explaining(checkpoint.model, checkpoint.card.task, example)).float().cpu().eval()
    network = ExportedNetwork(model)
    write, read = (write_onnx, _open_onnx) if target is Target.ONNX else (write_torch, open_torch)
    with atomic_path(path) as temporary, torch.no_grad():
        write(trace(network, preprocessing), metadata(checkpoint.card, model), temporary)
        agreement = compare_networks(network, read(temporary), preprocessing, files)
    return Export(path, target, path.stat().st_size, agreement)


def _open_onnx(path: Path) -> Network:
    return OnnxModel(path).run
