"""The parts of a run, put together from its configuration."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.data_loader import DataLoaderShard
from accelerate.state import AcceleratorState, is_initialized
from torch import nn

from softcam.errors import ConfigError
from softcam.model.checkpoint import Head, ModelCard
from softcam.model.evidence import SoftCAM, run_shapes
from softcam.training.calibration import Calibrated, OutputLayer, output_layers
from softcam.training.config import ModelConfig, OptimConfig, Optimizer, Precision, TrainConfig
from softcam.training.history import Row
from softcam.training.loaders import TrainingData, make_loaders, read_training_data
from softcam.training.network import build_network
from softcam.training.objective import Criterion, Objective, balancing_weights
from softcam.training.schedule import WarmupCosine
from softcam.training.state import Provenance, RunFolder


@dataclass(frozen=True)
class Run:
    """All that the training loop works with.

    Attributes:
        config: The configuration.
        folder: Where the run is kept.
        provenance: Where it comes from.
        accelerator: Knows processes, devices and precision.
        data: The images.
        network: The bare network.
        model: The network as the loop calls it, wrapped for precision and processes.
        output_layers: The layers of the network that calibration scales.
        optimizer: Of the network's weights.
        train_loader: Batches of training images.
        val_loader: Batches of validation images.
        objective: The loss.
        notes: What is worth telling about how the run was put together.
    """

    config: TrainConfig
    folder: RunFolder
    provenance: Provenance
    accelerator: Accelerator
    data: TrainingData
    network: nn.Module
    model: nn.Module
    output_layers: tuple[OutputLayer, ...]
    optimizer: torch.optim.Optimizer
    train_loader: DataLoaderShard
    val_loader: DataLoaderShard
    objective: Objective
    notes: tuple[str, ...]

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps of an epoch."""
        return len(self.train_loader) // self.config.optim.accumulation

    @property
    def images_per_batch(self) -> int:
        """Images that all processes together see in one forward pass."""
        return int(self.config.optim.batch_size * self.accelerator.num_processes)

    @property
    def images_per_epoch(self) -> int:
        """Images of an epoch: whole steps only."""
        return len(self.train_loader) * self.images_per_batch

    @property
    def schedule(self) -> WarmupCosine:
        """The learning rate of each optimizer step."""
        optim = self.config.optim
        return WarmupCosine(
            peak=optim.lr,
            floor=optim.min_lr,
            warmup=round(optim.warmup_epochs * self.steps_per_epoch),
            total=optim.epochs * self.steps_per_epoch,
        )

    def close(self) -> None:
        """Stop the loading processes, now: the garbage collector would wait five seconds for each of them."""
        for loader in (self.train_loader, self.val_loader):
            loader.end()
            loader.base_dataloader._iterator = None

    def card(self, metrics: Row, calibrated: Calibrated) -> ModelCard:
        """Return the card of the model as it is now, calibrated."""
        config = self.config.to_dict()
        config["data"]["manifest"] = self.config.data.manifest.name  # the card travels, the path does not
        config["run"].pop("out")
        return ModelCard(
            backbone=self.config.model.backbone,
            head=self.config.model.head,
            classes=self.data.train.classes,
            task=self.data.task,
            in_channels=self.config.data.channels,
            **_evidence_layers(self.config.model, self.network),
            preprocessing=self.config.data.preprocessing.to_dict(),
            training={
                "config": config,
                "manifest_sha256": self.provenance.manifest_sha256,
                "processes": self.provenance.processes,
                "train_images": len(self.data.train),
                "val_images": len(self.data.val),
                "calibration": calibrated.to_dict(),
            },
            metrics={**metrics, **{f"val_{name}": value for name, value in calibrated.after.items()}},
            versions=self.provenance.versions,
        )


def set_up(config: TrainConfig, resume: bool) -> Run:
    """Check and build everything that a run needs; write its configuration if it is new.

    Raises:
        SoftCAMError: Something does not fit; nothing has been written then.
    """
    accelerator = make_accelerator(config.optim)
    data = read_training_data(config)
    folder, provenance = RunFolder(config.run.out), Provenance.collect(config, accelerator)
    folder.check(config, provenance, resume)
    loaders = make_loaders(config, data, accelerator.num_processes)
    with accelerator.local_main_process_first():  # which alone downloads weights
        built = build_network(
            config.model,
            num_outputs=data.num_outputs,
            in_channels=config.data.channels,
            task=data.task,
            seed=config.run.seed,
        )
    run_shapes(built.network, config.data.preprocessing.size)
    outputs = output_layers(built.network, config.data.preprocessing.size)
    steps = len(loaders[0]) // (config.optim.accumulation * accelerator.num_processes)
    objective = make_objective(config, data, built.network, steps)
    if config.optim.channels_last:
        built.network.to(memory_format=torch.channels_last)
    optimizer = make_optimizer(built.network, config.optim)
    if accelerator.is_main_process and not resume:
        folder.begin(config, provenance)
    model, optimizer, train_loader, val_loader = accelerator.prepare(built.network, optimizer, *loaders)
    return Run(
        config=config,
        folder=folder,
        provenance=provenance,
        accelerator=accelerator,
        data=data,
        network=built.network,
        model=model,
        output_layers=outputs,
        optimizer=optimizer,
        train_loader=train_loader,
        val_loader=val_loader,
        objective=objective,
        notes=(*built.notes, *_unused(config)),
    )


def make_accelerator(optim: OptimConfig) -> Accelerator:
    """Return accelerate's handle on processes, devices and precision.

    Raises:
        ConfigError: The device does not have this precision.
    """
    mixed_precision = "no" if optim.precision is Precision.FP32 else str(optim.precision)
    if is_initialized() and AcceleratorState().mixed_precision != mixed_precision:
        AcceleratorState._reset_state()  # else a second run in this process could not have another precision
    try:
        accelerator = Accelerator(
            cpu=not torch.accelerator.is_available(),  # without this, processes on CPUs do not find each other
            mixed_precision=mixed_precision,
            gradient_accumulation_steps=optim.accumulation,
        )
    except ValueError as error:
        raise ConfigError(f"optim.precision is {optim.precision}, which this device has not ({error})") from error
    if optim.precision is Precision.FP16 and accelerator.device.type == "cpu":
        raise ConfigError("optim.precision is fp16, which a CPU has not; use bf16 or fp32")
    return accelerator


def make_optimizer(network: nn.Module, optim: OptimConfig) -> torch.optim.Optimizer:
    """Return the optimizer of all weights of ``network``; each group has its ``lr_factor``, a multiple of ``lr``."""
    groups = _parameter_groups(network, optim.evidence_lr)
    if optim.optimizer is Optimizer.ADAMW:
        return torch.optim.AdamW(groups, lr=optim.lr, weight_decay=optim.weight_decay)
    return torch.optim.SGD(
        groups,
        lr=optim.lr,
        momentum=optim.momentum,
        nesterov=optim.nesterov,
        weight_decay=optim.weight_decay,
    )


def _evidence_layers(config: ModelConfig, network: nn.Module) -> dict[str, Any]:
    """Return what a card says of the evidence layers, stages by their names."""
    if not isinstance(network, SoftCAM):
        return {}
    found = network.report.stages if network.report is not None else None
    stages = found if isinstance(config.stages, int) else config.stages
    return {
        "stages": stages,
        "fusion": config.fusion,
        "power": config.power,
        "output_stride": config.output_stride,
    }


def _parameter_groups(network: nn.Module, evidence_lr: float) -> list[dict[str, Any]]:
    if not isinstance(network, SoftCAM) or evidence_lr == 1:
        return [{"params": list(network.parameters()), "lr_factor": 1.0}]
    evidence = list(network.evidence.parameters())
    ours = {id(parameter) for parameter in evidence}
    others = [parameter for parameter in network.parameters() if id(parameter) not in ours]
    return [{"params": others, "lr_factor": 1.0}, {"params": evidence, "lr_factor": evidence_lr}]


def make_objective(config: TrainConfig, data: TrainingData, network: nn.Module, steps_per_epoch: int) -> Objective:
    """Return the loss that the configuration asks for.

    Raises:
        ConfigError: Mix consistency is asked of maps that cannot be mixed.
    """
    weights = None
    if config.loss.class_weights:
        weights = balancing_weights(data.class_counts(), len(data.train), data.task)
    criterion = Criterion(data.task, weights)
    if not isinstance(network, SoftCAM):
        return Objective(criterion)
    map_size = network.map_size(*config.data.preprocessing.size)
    if config.loss.mix > 0 and math.prod(map_size) == 1:
        raise ConfigError(
            f"loss.mix is {config.loss.mix}, but at data.size {config.data.size} the evidence map is a single cell; "
            "enlarge the images, name earlier model.stages, or set loss.mix to 0"
        )
    return Objective(
        criterion,
        config.loss,
        map_size=map_size,
        warmup=round(config.loss.mix_warmup_epochs * steps_per_epoch),
    )


def _unused(config: TrainConfig) -> tuple[str, ...]:
    """Say which settings the gap head leaves out."""
    loss = config.loss
    asked = [f"loss.{name}" for name in ("l1", "l2", "mix") if getattr(loss, name) > 0]
    asked += [
        f"model.{name}" for name in ("stages", "fusion", "output_stride") if getattr(config.model, name) is not None
    ]
    factors = {"model.power": config.model.power, "optim.evidence_lr": config.optim.evidence_lr}
    asked += [name for name, factor in factors.items() if factor != 1]
    if config.model.head is Head.SOFTCAM or not asked:
        return ()
    return (f"head gap has no evidence maps: {', '.join(asked)} not used",)


@contextmanager
def algorithms(deterministic: bool) -> Iterator[None]:
    """Choose deterministic or the fastest algorithms, and go back to what was set before."""
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(deterministic or before[0])
    torch.backends.cudnn.benchmark = not deterministic
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]
