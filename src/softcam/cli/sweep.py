"""``softcam sweep``."""

from __future__ import annotations

import sys

import numpy as np
from tqdm import tqdm

from softcam.cli.device import choose_device
from softcam.cli.output import show, table
from softcam.evaluation.sweep.choose import MEASURES
from softcam.evaluation.sweep.run import SweepResult, run_sweep
from softcam.evaluation.sweep.write import NAMES, chosen_sentence, summary, write_results
from softcam.reporting.sweep import write_sweep_figure
from softcam.training.config import DataConfig, LossConfig, ModelConfig, OptimConfig, RunConfig, TrainConfig
from softcam.training.sweep.grid import DENSE, SweepConfig


def sweep(
    data: DataConfig,
    model: ModelConfig = ModelConfig(),  # noqa: B008 — frozen
    loss: LossConfig = LossConfig(),  # noqa: B008
    optim: OptimConfig = OptimConfig(),  # noqa: B008
    run: RunConfig = RunConfig(),  # noqa: B008
    sweep: SweepConfig = SweepConfig(),  # noqa: B008
    *,
    json: bool = False,
) -> None:
    """Find how sparse evidence can be without a worse decision.

    Trains every combination of penalties with every seed, chooses the sparsest setting that is not worse than the
    dense one on the validation images, and reads the test images once, in the end. The same command goes on after an
    interruption.

    Args:
        data: The images.
        model: The network.
        loss: What it is trained to do; l1, l2 and mix are those of the sweep.
        optim: How it is trained.
        run: Where the sweep is kept (--out), and how each run ends; the seeds are those of the sweep.
        sweep: What is varied, and how the choice is made.
        json: Print the result as JSON.

    Example:
        softcam sweep --config configs/chest.yaml --manifest manifest.csv --out runs/sweep
        softcam sweep --config configs/chest.yaml --manifest manifest.csv --out runs/sweep \
            --lambda1 0,.01,.03,.1 --mu 0,.5,1 --seeds 0,1,2 --no-test
    """
    result = run_sweep(TrainConfig(data, model, loss, optim, run), sweep, device=choose_device(None), say=_say)
    write_results(result)
    picture = write_sweep_figure(result)
    show(summary(result), "\n".join([_as_text(result), f"written: {result.folder / 'results.md'}, {picture}"]), json)


def _say(line: str) -> None:
    tqdm.write(line, file=sys.stderr)


def _as_text(result: SweepResult) -> str:
    parts = [("validation", result.settings), *([("test, read once", result.test)] if result.test else [])]
    blocks = []
    for title, settings in parts:
        shown = [name for name in MEASURES if not all(np.isnan(each.values[name]) for each in settings)]
        rows = [
            (
                f"{each.setting}{' (dense)' if each.setting == DENSE else ''}",
                *(f"{each.values[name]:.3f}" for name in shown),
                f"{each.differences['auroc']}" if "auroc" in each.differences else "",
            )
            for each in settings
        ]
        blocks.append(table((title, *(NAMES[name] for name in shown), "AUROC - dense"), rows))
    return "\n\n".join([*blocks, f"{chosen_sentence(result)}\nmodel: {result.model}"])
