"""``softcam demo``."""

from __future__ import annotations

import sys
from pathlib import Path

from softcam.cli.output import show, table
from softcam.demo import DemoResult, run_demo
from softcam.evaluation.result import Evaluation


def demo(out: Path = Path("demo"), *, seed: int = 0, json: bool = False) -> None:
    """See it all work on generated images, from nothing, in a few minutes.

    Draws fundus phantoms with known lesions, trains a black box, SoftCAM as published and SoftCAM with local
    evidence on them, measures the three on other phantoms, and writes one HTML page that shows and compares
    them. Needs no download. Called again after an interruption, it goes on where it was.

    Args:
        out: Folder for all of it.
        seed: Another seed, other phantoms and other weights to start from.
        json: Print the result as JSON.

    Example:
        softcam demo --out demo
    """
    result = run_demo(out, seed=seed, say=lambda line: print(line, file=sys.stderr, flush=True))
    facts = {name: evaluation.summary for name, evaluation in result.evaluations.items()}
    show({"report": result.report, "evaluations": facts}, _as_text(result), json)


def _as_text(result: DemoResult) -> str:
    rows = [(name, *_numbers(evaluation)) for name, evaluation in result.evaluations.items()]
    header = ("network", "AUROC", "activation precision", "times chance", "pointing game", "locality")
    return f"\n{table(header, rows)}\n\nreport: {result.report}"


def _numbers(evaluation: Evaluation) -> tuple[str, ...]:
    precision, pointing = (evaluation.localization[name] for name in ("activation_precision", "pointing_game"))
    locality = evaluation.locality
    return (
        f"{evaluation.metrics['auroc'].estimate:.3f}",
        f"{precision.score.estimate:.3f}",
        f"{precision.score.estimate / precision.chance:.1f}",
        f"{pointing.score.estimate:.2f}",
        "" if locality is None else f"{locality.estimate:.2f}",
    )
