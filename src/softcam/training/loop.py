"""The training loop, on one or many processes (accelerate)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from softcam.errors import SoftCAMError
from softcam.metrics.classification import classification_metrics
from softcam.model.checkpoint import save_checkpoint
from softcam.training.calibration import Calibrated, calibrate, rescaled
from softcam.training.config import TrainConfig
from softcam.training.history import History, Row
from softcam.training.loaders import plain_worker_errors
from softcam.training.log import RunLog
from softcam.training.objective import Criterion
from softcam.training.run import Run, algorithms, set_up
from softcam.training.sampling import seed_epoch
from softcam.training.watch import LossWatch


def train(config: TrainConfig, *, resume: bool = False, progress: bool = True) -> Path:
    """Train a black box or a SoftCAM and keep the best epoch's model.

    The result follows from the configuration: each epoch's images, order, augmentation, dropout and mixing
    depend on the seed and the epoch alone, so a run that was interrupted and resumed ends with the same
    weights as one that was not (bit for bit on a CPU). Seeds the global generators.

    Under ``torchrun`` all processes call this; a step then sees ``batch_size · processes`` images.

    Args:
        config: What to train, on what, and how.
        resume: Go on after the last finished epoch of the run in ``config.run.out``.
        progress: Whether to show a progress bar and a line per epoch on stderr.

    Returns:
        The folder of the run, see :mod:`softcam.training.state`.

    Raises:
        ConfigError: Settings contradict each other, or the folder holds another run.
        DataError: The manifest or an image cannot be used.
        SoftCAMError: The loss is not finite.
        KeyboardInterrupt: Passed on, after saying how to resume.
    """
    with algorithms(config.run.deterministic):
        run = set_up(config, resume)
        history = History(config.run.monitor)
        if resume:
            history = run.folder.load_state(run.accelerator, history)
        with _open_log(run, history, progress) as log, plain_worker_errors():
            try:
                _train_epochs(run, history, log)
            except KeyboardInterrupt:
                log.say(_how_to_resume(run))
                raise
            finally:
                run.close()
    return run.folder.path


def _train_epochs(run: Run, history: History, log: RunLog) -> None:
    epochs, patience = run.config.optim.epochs, run.config.run.patience
    kept: Calibrated | None = None
    for epoch in range(len(history), epochs):
        if patience is not None and history.stale >= patience:
            log.say(f"stopped: no better {history.monitor} for {patience} epochs")
            break
        trained = _train_epoch(run, epoch, log)
        logits, targets = _read_validation(run, epoch)
        history = history.append({"epoch": epoch + 1, **trained, **_validation_scores(run, logits, targets)})
        if run.accelerator.is_main_process:
            if history.best == len(history) - 1:
                kept = _keep_model(run, history.rows[-1], logits, targets)
            history.write(run.folder.metrics)
        run.folder.save_state(run.accelerator, history)
        log.epoch(history, epochs, (epoch + 1) * run.steps_per_epoch)
    if history.best is None:
        raise SoftCAMError(
            f"{history.monitor} of the validation images was undefined in every epoch, so no model was kept; "
            "choose another run.monitor"
        )
    if kept is not None:
        log.say(str(kept))


def _train_epoch(run: Run, epoch: int, log: RunLog) -> Row:
    optim, accelerator = run.config.optim, run.accelerator
    seed_epoch(run.config.run.seed, epoch, accelerator.process_index)
    run.train_loader.set_epoch(epoch)
    run.model.train()
    watch, began = LossWatch(accelerator, run.data, epoch), time.perf_counter()
    for number, batch in enumerate(run.train_loader):
        step = epoch * run.steps_per_epoch + number // optim.accumulation
        lr = run.schedule(step)
        terms = _train_batch(run, batch, step, lr)
        log.step(run.images_per_batch)
        if watch.add(terms, batch["index"]) or number + 1 == len(run.train_loader):
            log.losses(step + 1, watch.look(), lr)
    seconds = time.perf_counter() - began
    return {
        "step": (epoch + 1) * run.steps_per_epoch,
        "lr": lr,
        **{f"train_{name}": value for name, value in watch.means().items()},
        "seconds": seconds,
        "images_per_second": run.images_per_epoch / seconds,
    }


def _train_batch(run: Run, batch: dict[str, Any], step: int, lr: float) -> Tensor:
    """Run one batch forwards and backwards, and make a step when enough are accumulated; return the loss terms."""
    for group in run.optimizer.param_groups:
        group["lr"] = lr * group["lr_factor"]
    with run.accelerator.accumulate(run.model):
        terms = run.objective(run.model, _images(run, batch), batch["target"], step)
        run.accelerator.backward(terms[0])
        if run.accelerator.sync_gradients and run.config.optim.clip_norm is not None:
            run.accelerator.clip_grad_norm_(run.model.parameters(), run.config.optim.clip_norm)
        run.optimizer.step()
        run.optimizer.zero_grad()
    return terms


def _images(run: Run, batch: dict[str, Any]) -> Tensor:
    images: Tensor = batch["image"]
    return images.to(memory_format=torch.channels_last) if run.config.optim.channels_last else images


@torch.no_grad()
def _read_validation(run: Run, epoch: int) -> tuple[Tensor, Tensor]:
    """Return logits ``(N, K)`` and targets of all validation images, read once over all processes."""
    run.model.eval()
    parts = [
        run.accelerator.gather_for_metrics((run.model(_images(run, batch)), batch["target"]))
        for batch in run.val_loader
    ]
    logits, targets = (torch.cat(column) for column in zip(*parts, strict=True))
    logits = logits.float()
    if not logits.isfinite().all():
        raise SoftCAMError(
            f"the network gives logits that are not finite after epoch {epoch + 1}; lower optim.lr or set "
            "optim.clip_norm (the epoch before is kept)"
        )
    return logits, targets


def _validation_scores(run: Run, logits: Tensor, targets: Tensor) -> Row:
    """Score the validation images; the loss is plain cross entropy, for either head."""
    task = run.data.task
    scores = classification_metrics(task.probabilities(logits).cpu().numpy(), targets.cpu().numpy(), task)
    loss = float(Criterion(task)(logits, targets))
    return {f"val_{name}": value for name, value in {"loss": loss, **scores}.items()}


def _keep_model(run: Run, row: Row, logits: Tensor, targets: Tensor) -> Calibrated:
    """Save the model of this epoch, calibrated; training goes on with the weights as they were."""
    calibrated = calibrate(logits, targets, run.data.task, run.config.run.calibration, run.output_layers)
    with rescaled(run.output_layers, calibrated.scaling):
        save_checkpoint(run.network, run.card(row, calibrated), run.folder.model)
    return calibrated


def _open_log(run: Run, history: History, progress: bool) -> RunLog:
    epochs, done = run.config.optim.epochs, len(history)
    log = RunLog(
        run.folder.tensorboard,
        images=epochs * run.images_per_epoch,
        done=done * run.images_per_epoch,
        step=done * run.steps_per_epoch,
        enabled=run.accelerator.is_main_process,
        progress=progress,
    )
    model, data, accelerator = run.config.model, run.data, run.accelerator
    processes = f"{accelerator.num_processes} process{'es' if accelerator.num_processes > 1 else ''}"
    log.say(
        f"{model.backbone}, head {model.head}, {data.task} of {len(data.train.classes)} classes, "
        f"{len(data.train)} training and {len(data.val)} validation images, {accelerator.device.type}, {processes}"
    )
    for note in run.notes:
        log.say(note)
    if done:
        log.say(f"resumed after epoch {done}")
    return log


def _how_to_resume(run: Run) -> str:
    state = run.folder.last_state
    kept = "no epoch has ended yet" if state is None else f"{state} is kept"
    return f"interrupted; {kept}; go on with: softcam train --config {run.folder.path / 'config.yaml'} --resume"
