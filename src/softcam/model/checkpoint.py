"""Trained models on disk: safetensors and a JSON card, never pickle."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from softcam.errors import CheckpointError, SoftCAMError
from softcam.files import atomic_directory
from softcam.model.backbones import build_backbone
from softcam.model.convert import convert
from softcam.model.task import Task

WEIGHTS_FILE = "model.safetensors"
CARD_FILE = "card.json"
_FORMAT = 1


class Head(StrEnum):
    """How a network classifies: by pooling and its own head (the black box), or by class evidence."""

    GAP = "gap"
    SOFTCAM = "softcam"


@dataclass(frozen=True)
class ModelCard:
    """All that is needed to rebuild a model and to know where it comes from.

    Attributes:
        backbone: Name for :func:`softcam.model.backbones.build_backbone`, or ``custom`` for a network of the
            user's own.
        head: Black box or SoftCAM.
        classes: Names of the classes, in the order of the labels. With one sigmoid output (task ``binary``) the
            negative and the positive class.
        task: How logits become probabilities.
        in_channels: Channels of the images.
        stages: Modules whose output carries evidence; None for the last feature map.
        fusion: Channels of the top-down fusion of the stages; None for an evidence layer on each.
        power: Exponent of the evidence layers.
        output_stride: Pixels per cell of the last feature map, where dilation has taken the place of stride.
        preprocessing: As :class:`softcam.data.transforms.Preprocessing` writes it.
        training: Configuration and data of the training.
        metrics: Validation metrics of these weights.
        versions: Versions of the software that made it.
    """

    backbone: str
    head: Head
    classes: tuple[str, ...]
    task: Task
    in_channels: int = 3
    stages: tuple[str, ...] | None = None
    fusion: int | None = None
    power: float = 1.0
    output_stride: int | None = None
    preprocessing: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def num_outputs(self) -> int:
        """Number K of logits."""
        return 1 if self.task is Task.BINARY else len(self.classes)

    @property
    def output_names(self) -> tuple[str, ...]:
        """The class each logit speaks for; with one sigmoid output the positive class."""
        return self.classes[-1:] if self.task is Task.BINARY else self.classes

    def to_json(self) -> str:
        """Return the card as indented JSON."""
        return json.dumps({"format": _FORMAT, **asdict(self)}, indent=2, ensure_ascii=False, default=str) + "\n"

    @classmethod
    def from_json(cls, text: str) -> ModelCard:
        """Read a card.

        Raises:
            ValueError: It is not a card of this format; also TypeError and KeyError.
        """
        values = json.loads(text)
        if values.pop("format") != _FORMAT:
            raise ValueError("written by another version of softcam")
        stages = values.pop("stages")
        return cls(
            head=Head(values.pop("head")),
            task=Task(values.pop("task")),
            classes=tuple(values.pop("classes")),
            stages=None if stages is None else tuple(stages),
            **values,
        )


@dataclass(frozen=True)
class Checkpoint:
    """A model, in eval mode, with its card."""

    model: nn.Module
    card: ModelCard


def save_checkpoint(model: nn.Module, card: ModelCard, directory: str | Path) -> None:
    """Write ``model.safetensors`` and ``card.json`` into ``directory``, replacing it as a whole.

    Args:
        model: The network that ``card`` describes.
        card: Its card.
        directory: The folder to write.
    """
    state = {name: value.detach().cpu().contiguous().clone() for name, value in model.state_dict().items()}
    with atomic_directory(directory) as folder:
        safetensors.torch.save_file(state, folder / WEIGHTS_FILE)
        (folder / CARD_FILE).write_text(card.to_json(), encoding="utf-8")


def load_checkpoint(
    path: str | Path, *, network: nn.Module | None = None, device: str | torch.device = "cpu"
) -> Checkpoint:
    """Load a model that :func:`save_checkpoint` has written.

    Args:
        path: Its folder, or the folder of a run, whose best model is taken.
        network: The classifier that was converted, with any weights; needed for networks of the user's own,
            which no name builds.
        device: Where to put the model.

    Returns:
        The model in eval mode, with its card.

    Raises:
        CheckpointError: The folder holds no checkpoint, or it does not fit.
    """
    folder = find_checkpoint(path)
    card = read_card(folder)
    model = _build(card, network, folder)
    state = _read_weights(folder / WEIGHTS_FILE)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise CheckpointError(
            f"{folder / WEIGHTS_FILE} does not fit {card.backbone} with {card.num_outputs} outputs: "
            f"{str(error).splitlines()[1].strip()}; was it saved from another network?"
        ) from error
    return Checkpoint(model.to(device).eval(), card)


def find_checkpoint(path: str | Path) -> Path:
    """Return the folder with the weights: ``path`` itself, or ``path/model`` for a run.

    Raises:
        CheckpointError: There is none.
    """
    path = Path(path)
    for folder in (path, path / "model"):
        if (folder / CARD_FILE).is_file() and (folder / WEIGHTS_FILE).is_file():
            return folder
    what = "does not exist" if not path.exists() else f"holds no {WEIGHTS_FILE} with its {CARD_FILE}"
    raise CheckpointError(f"{path} {what}; give the folder of a trained model or of a run")


def read_card(folder: Path) -> ModelCard:
    """Read the card of the checkpoint in ``folder``.

    Raises:
        CheckpointError: It is broken.
    """
    try:
        return ModelCard.from_json((folder / CARD_FILE).read_text(encoding="utf-8"))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{folder / CARD_FILE} is not a model card ({error}); save the model again") from error


def _read_weights(path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path} is not a readable safetensors file ({error}); copy or save it again") from error


def _build(card: ModelCard, network: nn.Module | None, folder: Path) -> nn.Module:
    if network is None and card.backbone == "custom":
        raise CheckpointError(f"{folder} holds a network of your own; pass it as load_checkpoint(..., network=...)")
    try:
        source = network or build_backbone(card.backbone, num_classes=card.num_outputs, in_channels=card.in_channels)
        if card.head is Head.GAP:
            return source
        return convert(
            source,
            card.num_outputs,
            task=card.task,
            stages=card.stages,
            fusion=card.fusion,
            power=card.power,
            output_stride=card.output_stride,
        )
    except CheckpointError:
        raise
    except SoftCAMError as error:
        raise CheckpointError(f"{folder} cannot be rebuilt: {error}") from error
