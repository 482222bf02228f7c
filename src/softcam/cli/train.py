"""``softcam train``."""

from __future__ import annotations

from typing import Any

from accelerate import PartialState

from softcam.cli.output import show
from softcam.training.config import DataConfig, LossConfig, ModelConfig, OptimConfig, RunConfig, TrainConfig
from softcam.training.loop import train as run_training
from softcam.training.state import RunFolder


def train(
    data: DataConfig,
    model: ModelConfig = ModelConfig(),  # noqa: B008 — frozen
    loss: LossConfig = LossConfig(),  # noqa: B008
    optim: OptimConfig = OptimConfig(),  # noqa: B008
    run: RunConfig = RunConfig(),  # noqa: B008
    *,
    resume: bool = False,
    json: bool = False,
) -> None:
    """Train a SoftCAM, or the black box to compare it with.

    Several devices or hosts: torchrun --nproc-per-node 2 -m softcam train ... (or accelerate launch; but on a
    CPU that starts one process only, whatever it is told).

    Args:
        data: The images.
        model: The network.
        loss: What it is trained to do.
        optim: How it is trained.
        run: Where the run is kept, and how it ends.
        resume: Go on after the last finished epoch of the run in --run.out.
        json: Print the result as JSON.

    Example:
        softcam train --config configs/fundus.yaml --manifest manifest.csv --out runs/fundus
        softcam train --config configs/fundus.yaml --manifest manifest.csv --out runs/black-box --head gap
        softcam train --config runs/fundus/config.yaml --resume
    """
    folder = RunFolder(run_training(TrainConfig(data, model, loss, optim, run), resume=resume))
    if not PartialState().is_main_process:
        return
    result = folder.result(run.monitor)
    show(result, _as_text(result), json)


def _as_text(result: dict[str, Any]) -> str:
    lines = [f"{result['run']}: best epoch {result['best_epoch']} of {result['epochs']}"]
    lines += [f"  {name:<18} {value:.4f}" for name, value in result["metrics"].items()]
    lines.append(f"model: {result['model']}")
    return "\n".join(lines)
