"""The network to train: backbone, initial weights, head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from softcam.errors import CheckpointError
from softcam.model.backbones import build_backbone
from softcam.model.checkpoint import Checkpoint, Head, load_checkpoint
from softcam.model.convert import convert
from softcam.model.evidence import SoftCAM
from softcam.model.task import Task
from softcam.training.config import ModelConfig

_BACKBONE = "backbone."


@dataclass(frozen=True)
class Built:
    """A network, and what to say about how it came about."""

    network: nn.Module
    notes: tuple[str, ...]


def build_network(config: ModelConfig, *, num_outputs: int, in_channels: int, task: Task, seed: int) -> Built:
    """Build the network of a run.

    Both heads begin with the same classifier of ``num_outputs`` outputs, so that where the conversion is
    exact the black box and the SoftCAM of one seed start as the same function.

    Args:
        config: What to build.
        num_outputs: Number K of logits.
        in_channels: Channels of the images.
        task: How logits become probabilities.
        seed: Seed of the random weights.

    Returns:
        The network in train mode.

    Raises:
        ConfigError: No such backbone or stage.
        ConversionError: The backbone cannot be converted.
        CheckpointError: ``config.weights`` is no trained model, or nothing of it fits.
    """
    torch.manual_seed(seed)
    imagenet = config.weights == "imagenet"
    network = build_backbone(config.backbone, num_classes=num_outputs, in_channels=in_channels, pretrained=imagenet)
    source = load_checkpoint(config.weights) if isinstance(config.weights, Path) else None
    notes: list[str] = []
    if source is not None and not (source.card.head is config.head is Head.SOFTCAM):
        notes.append(take_weights(network, _plain_weights(source), config.weights))
    if config.head is Head.SOFTCAM:
        converted = convert(
            network,
            task=task,
            stages=config.stages,
            fusion=config.fusion,
            power=config.power,
            output_stride=config.output_stride,
        )
        notes.append(f"conversion: {converted.report}")
        if source is not None and source.card.head is Head.SOFTCAM:
            notes.append(take_weights(converted, _evidence_weights(source, converted), config.weights))
        network = converted
    return Built(network.train(), tuple(notes))


def take_weights(network: nn.Module, weights: Mapping[str, Tensor], origin: object) -> str:
    """Copy the tensors whose name and shape fit into ``network``.

    Returns:
        What was taken and what was not, in one sentence.

    Raises:
        CheckpointError: Nothing fits.
    """
    own = network.state_dict()
    fitting = {name: value for name, value in weights.items() if name in own and own[name].shape == value.shape}
    if not fitting:
        raise CheckpointError(f"nothing in {origin} fits this network; give model.weights of the same backbone")
    network.load_state_dict(fitting, strict=False)
    left = [f"{name} {tuple(own[name].shape)}" for name in own if name not in fitting]
    rest = f"; newly initialised: {', '.join(left)}" if left else ""
    return f"weights: {len(fitting)} of {len(own)} tensors from {origin}{rest}"


def _plain_weights(source: Checkpoint) -> dict[str, Tensor]:
    """Return the weights by their names in the plain classifier."""
    state = source.model.state_dict()
    if source.card.head is Head.GAP:
        return state
    return {k.removeprefix(_BACKBONE): v for k, v in state.items() if k.startswith(_BACKBONE)}


def _evidence_weights(source: Checkpoint, network: SoftCAM) -> dict[str, Tensor]:
    """Return the weights of a SoftCAM, without evidence layers that read or raise other features than ours."""
    model = source.model
    state = model.state_dict()
    same = isinstance(model, SoftCAM) and _kind(model) == _kind(network)
    return state if same else {name: value for name, value in state.items() if name.startswith(_BACKBONE)}


def _kind(network: SoftCAM) -> tuple[object, ...]:
    stages = network.report.stages if network.report is not None else ()
    return stages, network.fusion is not None, [layer.power for layer in network.evidence]
