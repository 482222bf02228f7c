"""What a training run is made of: the same names in YAML, as flags, and in Python.

Every value is checked when its dataclass is made; the message names the field as the YAML and the flags do.
"""

from __future__ import annotations

import math
import os
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from softcam.data.transforms import AUGMENTATIONS, IMAGENET_MEAN, IMAGENET_STD, Augmentation, Preprocessing
from softcam.errors import ConfigError
from softcam.losses import Convention
from softcam.metrics.classification import METRICS, Direction
from softcam.model.checkpoint import Head
from softcam.model.task import Task


def _require(holds: bool, name: str, value: object, mend: str) -> None:
    if not holds:
        raise ConfigError(f"{name} is {value}; {mend}")


def _require_at_least_zero(name: str, value: float) -> None:
    _require(math.isfinite(value) and value >= 0, name, value, "it is a finite number of at least 0")


def _as_members(config: object, section: str, **kinds: type[StrEnum]) -> None:
    """Turn the values that Python users write as strings into members of their enumerations."""
    for name, kind in kinds.items():
        value = getattr(config, name)
        _require(value in list(kind), f"{section}.{name}", value, f"choose one of {', '.join(kind)}")
        object.__setattr__(config, name, kind(value))


class Optimizer(StrEnum):
    """How the weights are updated."""

    SGD = "sgd"
    ADAMW = "adamw"


class Precision(StrEnum):
    """Number format of the forward and backward pass; the two short ones are automatic mixed precision."""

    FP32 = "fp32"  # accelerate calls it "no", which YAML reads as false
    BF16 = "bf16"
    FP16 = "fp16"


class Monitor(StrEnum):
    """The validation metric by which the best epoch is chosen."""

    ACCURACY = "accuracy"
    BALANCED_ACCURACY = "balanced_accuracy"
    AUROC = "auroc"
    AUPRC = "auprc"
    KAPPA = "kappa"
    LOSS = "loss"

    @property
    def direction(self) -> Direction:
        """Which way this metric gets better."""
        return Direction.LOWER if self is Monitor.LOSS else METRICS[self]


class Calibration(StrEnum):
    """How the probabilities of the best model are calibrated on the validation images."""

    NONE = "none"
    TEMPERATURE = "temperature"
    BIAS = "bias"


@dataclass(frozen=True)
class DataConfig:
    """The images, and how they come to the network.

    Attributes:
        manifest: CSV file that `softcam prepare` writes, with images in the splits train and val.
        size: Height and width in pixels that images are resized to; one number for a square.
        channels: Channels of the network's input, 1 or 3.
        mean: Mean of each channel, of pixels in [0, 1]; one number for all.
        std: Standard deviation of each channel, like the mean.
        augmentation: Random changes to training images: none, fundus, oct, chest, or fields of your own.
        workers: Processes that load images; 0 loads in the training process. Does not change the result.
    """

    manifest: Path
    size: int | tuple[int, int] = 224
    channels: int = 3
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    augmentation: str | Augmentation = "none"
    workers: int = field(default_factory=lambda: min(4, os.cpu_count() or 1))

    def __post_init__(self) -> None:
        object.__setattr__(self, "manifest", Path(self.manifest))
        sides = (self.size,) if isinstance(self.size, int) else self.size
        _require(min(sides) >= 1, "data.size", self.size, "sides are at least 1 px")
        _require(self.channels in (1, 3), "data.channels", self.channels, "images have 1 or 3")
        for name, values in (("data.mean", self.mean), ("data.std", self.std)):
            _require(len(values) in (1, self.channels), name, values, f"give one number or {self.channels}")
        _require(min(self.std) > 0, "data.std", self.std, "deviations are above 0")
        known = isinstance(self.augmentation, Augmentation) or self.augmentation in AUGMENTATIONS
        _require(known, "data.augmentation", self.augmentation, f"choose one of {', '.join(AUGMENTATIONS)}")
        _require(self.workers >= 0, "data.workers", self.workers, "it is at least 0")

    @property
    def preprocessing(self) -> Preprocessing:
        """What happens to every image, in training and afterwards."""
        size = (self.size, self.size) if isinstance(self.size, int) else self.size
        mean, std = (v * self.channels if len(v) == 1 else v for v in (self.mean, self.std))
        return Preprocessing(size=size, channels=self.channels, mean=mean, std=std)

    @property
    def random_changes(self) -> Augmentation:
        """The augmentation itself, where it was given by name."""
        return AUGMENTATIONS[self.augmentation] if isinstance(self.augmentation, str) else self.augmentation


@dataclass(frozen=True)
class ModelConfig:
    """The network.

    Attributes:
        backbone: A torchvision classifier such as resnet50, or timm/NAME.
        weights: Where the weights start: imagenet, the folder of a trained model or run, or null for random.
            What fits is taken from a folder, what does not is reported.
        head: gap trains the plain classifier (the black box), softcam the self-explaining one. From the same
            seed both start as the same function where the conversion is exact.
        stages: Modules whose output carries evidence, such as [layer2, layer3, layer4], or the coarsest stride of a
            pyramid (4 takes the last feature maps of stride 2 and 4); null for the last feature map. This and the
            next three are used by the softcam head alone.
        fusion: Channels of a top-down fusion of the stages under one evidence layer; null for one layer on each.
        power: Exponent of the evidence layer; above 1 it draws evidence together on small findings.
        output_stride: Pixels of the image per cell of the last feature map, 8 or 16, by dilation in place of stride;
            null leaves the network's own.
        task: multiclass, binary (two classes, one output) or multilabel; null to tell from the labels.
    """

    backbone: str = "resnet18"
    weights: Literal["imagenet"] | Path | None = "imagenet"
    head: Head = Head.SOFTCAM
    stages: int | tuple[str, ...] | None = None
    fusion: int | None = None
    power: float = 1.0
    output_stride: int | None = None
    task: Task | None = None

    def __post_init__(self) -> None:
        _as_members(self, "model", head=Head, **({} if self.task is None else {"task": Task}))
        _require(self.stages != (), "model.stages", "[]", "name at least one module, or null for the last")
        fusible = self.fusion is None or self.fusion >= 1
        _require(fusible, "model.fusion", self.fusion, "it is at least 1 channel, or null for no fusion")
        raised = math.isfinite(self.power) and self.power >= 1
        _require(raised, "model.power", self.power, "it is a finite number of at least 1")


@dataclass(frozen=True)
class LossConfig:
    """Cross entropy, and for the softcam head penalties on its evidence; the gap head does not use them.

    The default is our own recipe; l1, l2 and mix of 0 are the published *dense* one.

    Attributes:
        l1: Weight of the absolute evidence; makes it sparse.
        l2: Weight of the squared evidence.
        convention: mean (over images, classes and cells) or paper (as in the authors' code).
        mix: Weight of mix consistency, which makes evidence local; 0 for none.
        mix_fraction: Mixed images as a share of the batch.
        mix_every: Mixed images come with every n-th step; the weight is not raised to make up for it.
        mix_warmup_epochs: Epochs over which the weight of mix consistency rises from 0.
        class_weights: Weigh classes (multi-label: presence against absence) so that all count alike.
    """

    l1: float = 0.02
    l2: float = 0.0
    convention: Convention = Convention.MEAN
    mix: float = 1.0
    mix_fraction: float = 0.5
    mix_every: int = 1
    mix_warmup_epochs: float = 1.0
    class_weights: bool = False

    def __post_init__(self) -> None:
        _as_members(self, "loss", convention=Convention)
        for name in ("l1", "l2", "mix", "mix_warmup_epochs"):
            _require_at_least_zero(f"loss.{name}", getattr(self, name))
        _require(0 < self.mix_fraction <= 1, "loss.mix_fraction", self.mix_fraction, "it lies in (0, 1]")
        _require(self.mix_every >= 1, "loss.mix_every", self.mix_every, "it is at least 1")


@dataclass(frozen=True)
class OptimConfig:
    """The optimizer and its schedule: linear warm-up, then a cosine from lr to min_lr, step by step.

    Attributes:
        optimizer: sgd or adamw.
        lr: Learning rate after the warm-up.
        min_lr: Learning rate at the end.
        evidence_lr: Learning rate of the evidence layer as a multiple of lr. Small findings need answers that are
            large against the logit, which the layer reaches sooner with more.
        momentum: Of sgd.
        nesterov: Whether sgd's momentum is Nesterov's.
        weight_decay: Weight decay.
        epochs: Passes over the training images.
        warmup_epochs: Epochs of the warm-up.
        batch_size: Images of one forward pass of one process.
        accumulation: Forward passes that make one step. A step sees batch_size · accumulation · processes
            images.
        clip_norm: Largest norm of the gradient; null for no limit.
        precision: fp32, bf16 or fp16 (the latter on a GPU alone).
        balanced_sampling: Draw all classes equally often, with replacement.
        channels_last: Memory layout that is faster on recent GPUs.
    """

    optimizer: Optimizer = Optimizer.ADAMW
    lr: float = 3e-4
    min_lr: float = 1e-6
    evidence_lr: float = 1.0
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 0.01
    epochs: int = 30
    warmup_epochs: float = 1.0
    batch_size: int = 16
    accumulation: int = 1
    clip_norm: float | None = 1.0
    precision: Precision = Precision.FP32
    balanced_sampling: bool = False
    channels_last: bool = False

    def __post_init__(self) -> None:
        _as_members(self, "optim", optimizer=Optimizer, precision=Precision)
        for name in ("epochs", "batch_size", "accumulation"):
            _require(getattr(self, name) >= 1, f"optim.{name}", getattr(self, name), "it is at least 1")
        for name in ("min_lr", "weight_decay", "warmup_epochs"):
            _require_at_least_zero(f"optim.{name}", getattr(self, name))
        positive = math.isfinite(self.lr) and self.lr > 0
        _require(positive, "optim.lr", self.lr, "a learning rate is a finite number above 0")
        faster = math.isfinite(self.evidence_lr) and self.evidence_lr > 0
        _require(faster, "optim.evidence_lr", self.evidence_lr, "it is a finite number above 0")
        _require(self.min_lr <= self.lr, "optim.min_lr", self.min_lr, f"it is at most optim.lr ({self.lr:g})")
        _require(0 <= self.momentum < 1, "optim.momentum", self.momentum, "it lies in [0, 1)")
        unused = self.optimizer is not Optimizer.SGD or not self.nesterov or self.momentum > 0
        _require(unused, "optim.nesterov", self.nesterov, "Nesterov needs optim.momentum above 0")
        fits = self.warmup_epochs <= self.epochs
        _require(fits, "optim.warmup_epochs", self.warmup_epochs, f"optim.epochs is only {self.epochs}")
        clips = self.clip_norm is None or self.clip_norm > 0
        _require(clips, "optim.clip_norm", self.clip_norm, "it is above 0, or null for no limit")


@dataclass(frozen=True)
class RunConfig:
    """Where the run is kept, and how it ends.

    Attributes:
        out: Folder of the run; with several hosts, on a file system that they share.
        seed: Of weights, order, augmentation and mixing.
        monitor: Validation metric that chooses the best epoch: accuracy, balanced_accuracy, auroc, auprc,
            kappa (quadratic) or loss.
        patience: Stop after so many epochs without a better one; null trains to the end.
        deterministic: Use deterministic algorithms alone. A CPU is deterministic without.
        calibration: What is fitted on the validation images and put into the weights of the best model:
            temperature, which changes no decision; bias, a temperature and a bias per class, which moves decisions
            towards how frequent the classes are there; or none.
    """

    out: Path = Path("runs/train")
    seed: int = 0
    monitor: Monitor = Monitor.AUROC
    patience: int | None = None
    deterministic: bool = False
    calibration: Calibration = Calibration.TEMPERATURE

    def __post_init__(self) -> None:
        _as_members(self, "run", monitor=Monitor, calibration=Calibration)
        object.__setattr__(self, "out", Path(self.out))
        _require(self.seed >= 0, "run.seed", self.seed, "it is at least 0")
        patient = self.patience is None or self.patience >= 1
        _require(patient, "run.patience", self.patience, "it is at least 1, or null for no early stop")


@dataclass(frozen=True)
class TrainConfig:
    """A training run.

    Attributes:
        data: The images.
        model: The network.
        loss: What it is trained to do.
        optim: How it is trained.
        run: Where the run is kept, and how it ends.
    """

    data: DataConfig
    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    optim: OptimConfig = OptimConfig()
    run: RunConfig = RunConfig()

    def __post_init__(self) -> None:
        twice = self.optim.balanced_sampling and self.loss.class_weights
        _require(not twice, "loss.class_weights", True, "optim.balanced_sampling balances already; choose one")

    def to_dict(self) -> dict[str, Any]:
        """Return the configuration as plain values, as YAML and JSON know them, with absolute paths."""
        plain: dict[str, Any] = _plain(asdict(self))
        return plain


@dataclass(frozen=True)
class Difference:
    """A field in which two configurations differ, named as in YAML and flags (``optim.lr``)."""

    name: str
    ours: Any
    theirs: Any


def first_difference(ours: dict[str, Any], theirs: dict[str, Any], ignored: frozenset[str]) -> Difference | None:
    """Return the first field in which a configuration differs from a saved one.

    Args:
        ours: A configuration as :meth:`TrainConfig.to_dict` gives it.
        theirs: The saved one, likewise.
        ignored: Fields that may differ.
    """
    left, right = _flat(ours), _flat(theirs)
    names = sorted((left.keys() | right.keys()) - ignored)
    name = next((name for name in names if left.get(name) != right.get(name)), None)
    return None if name is None else Difference(name, left.get(name), right.get(name))


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return str(value.absolute())
    return str(value) if isinstance(value, StrEnum) else value
