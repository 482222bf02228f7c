"""The report: one page in one file, about one run or several side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from jinja2 import Environment, PackageLoader, StrictUndefined

from softcam.data.manifest import Manifest, Split
from softcam.errors import ConfigError, DataError
from softcam.evaluation.evaluate import evaluate, select_images
from softcam.evaluation.result import Evaluation
from softcam.files import atomic_path
from softcam.model.checkpoint import Checkpoint, load_checkpoint
from softcam.reporting.measured import Measured, NamedRun, Question, measured_runs
from softcam.reporting.page import build_page
from softcam.reporting.tables import signed

__all__ = ["NamedRun", "render_report", "write_report"]

TEMPLATE = "report.html.jinja"
TITLE = "SoftCAM report"


def write_report(
    runs: Sequence[NamedRun],
    manifest: Manifest | str | Path,
    *,
    split: Split | None = Split.TEST,
    out: str | Path,
    title: str = TITLE,
    class_name: str | None = None,
    cases: int = 3,
    evaluations: Sequence[Evaluation] | None = None,
    device: str | torch.device = "cpu",
    progress: bool = True,
) -> Path:
    """Measure runs on the same images and write the report.

    Args:
        runs: One or more; differences are taken to the first, cases sorted by the last.
        manifest: The images, or the CSV file that lists them.
        split: The part of the manifest to use; None uses all of it.
        out: The HTML file to write.
        title: Head of the page.
        class_name: The class whose evidence is shown; by default the second of two, else the one with the most
            annotated images.
        cases: Cases to show of each outcome (true and false, positive and negative).
        evaluations: What the runs are worth on these images, where that is known; None measures it.
        device: Where to compute.
        progress: Whether to show bars, on a terminal.

    Returns:
        ``out``.

    Raises:
        CheckpointError: A folder holds no model.
        ConfigError: There are no runs, two have the same name, or the class is unknown.
        DataError: The images cannot be used, or the runs are not about the same classes.

    Example:
        >>> runs = [NamedRun("black box", Path("runs/black-box")), NamedRun("SoftCAM", Path("runs/softcam"))]
        >>> write_report(runs, "manifest.csv", out="report.html")  # doctest: +SKIP
        PosixPath('report.html')
    """
    if not runs:
        raise ConfigError("a report needs at least one run; name its folder")
    manifest = manifest if isinstance(manifest, Manifest) else Manifest.read(manifest)
    checkpoints: list[Checkpoint] = [load_checkpoint(run.path, device=device) for run in runs]
    if evaluations is None:
        evaluations = [
            evaluate(checkpoint, manifest, split=split, device=device, progress=progress) for checkpoint in checkpoints
        ]
    models = measured_runs(runs, checkpoints, evaluations)
    images = select_images(manifest, checkpoints[0].card.classes, split)
    if evaluations[0].predictions.images != tuple(str(sample.image) for sample in images.samples):
        raise DataError(f"the evaluations are not of the images of {manifest.path}; evaluate the runs on these")
    return render_report(models, images, out, title=title, class_name=class_name, cases=cases)


def render_report(
    models: Sequence[Measured],
    images: Manifest,
    out: str | Path,
    *,
    title: str = TITLE,
    class_name: str | None = None,
    cases: int = 3,
) -> Path:
    """Write the report of models that have been measured.

    Args:
        models: The models.
        images: The images on which they were measured, in the order of their predictions.
        out: As for :func:`write_report`.
        title: As for :func:`write_report`.
        class_name: As for :func:`write_report`.
        cases: As for :func:`write_report`.

    Returns:
        ``out``.

    Raises:
        ConfigError: ``cases`` is negative, or the class is unknown.
        DataError: An image or annotation cannot be read.
    """
    if cases < 0:
        raise ConfigError(f"cases is {cases}; it is at least 0")
    page = build_page(models, images, Question.of(models[0], images, class_name), cases)
    html = _environment().get_template(TEMPLATE).render(page={"title": title, **page})
    with atomic_path(out) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return Path(out)


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("softcam", "reporting"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["signed"] = signed
    return environment
