"""``softcam evaluate``."""

from __future__ import annotations

import json as json_text
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from softcam.cli.device import choose_device
from softcam.cli.output import show, table
from softcam.data.manifest import Manifest, Split
from softcam.errors import ConfigError
from softcam.evaluation.compare import Comparison, compare
from softcam.evaluation.evaluate import evaluate as run_evaluation
from softcam.evaluation.result import Evaluation
from softcam.evaluation.write import write_comparison, write_evaluation
from softcam.metrics.bootstrap import Interval
from softcam.model.checkpoint import find_checkpoint, load_checkpoint
from softcam.training.state import PROVENANCE_FILE


def evaluate(
    models: list[Path],
    *,
    manifest: Path | None = None,
    split: Literal["train", "val", "test", "all"] = "test",
    out: Path | None = None,
    batch_size: int = 16,
    workers: int = 0,
    device: str | None = None,
    resamples: int = 1000,
    seed: int = 0,
    json: bool = False,
) -> None:
    """Measure decisions and explanations of a model, or compare two.

    Every number comes with a 95 % interval (bootstrap over patients). Where the manifest has annotations, the
    evidence is held against them, beside what a uniform map and the best map of the same resolution would score.

    Args:
        models: One or two folders, of runs or of trained models.
        manifest: CSV file that softcam prepare writes; by default the one that the first run was trained on.
        split: Images to use: train, val, test or all.
        out: Folder for evaluation.json and predictions.csv; by default RUN/evaluation/SPLIT, and none where a
            model is not in a run. With two models a folder for each is made in it.
        batch_size: Images per batch.
        workers: Processes that load images.
        device: Where to compute, such as cpu or cuda:1; by default a GPU where there is one.
        resamples: Bootstrap draws behind the intervals.
        seed: Seed of the draws, and of the pairs on which locality is measured.
        json: Print the result as JSON.

    Example:
        softcam evaluate runs/fundus
        softcam evaluate runs/fundus runs/black-box --manifest other-hospital.csv --split all --out results
    """
    if len(models) not in (1, 2):
        raise ConfigError(f"softcam evaluate takes one or two models, not {len(models)}; compare two at a time")
    _require_positive(batch_size=batch_size, resamples=resamples)
    where = choose_device(device)
    checkpoints = [load_checkpoint(path, device=where) for path in models]
    images = Manifest.read(manifest or _manifest_of(models[0]))
    part = None if split == "all" else Split(split)
    results = [
        run_evaluation(
            checkpoint,
            images,
            split=part,
            batch_size=batch_size,
            workers=workers,
            device=where,
            resamples=resamples,
            seed=seed,
        )
        for checkpoint in checkpoints
    ]
    comparison = compare(*results, resamples=resamples, seed=seed) if len(results) == 2 else None
    folders = _folders(models, out, split)
    _write(models, results, folders, comparison, out or folders[0])
    show(_facts(models, results, folders, comparison), _as_text(models, results, folders, comparison), json)


def _require_positive(**numbers: int) -> None:
    for name, value in numbers.items():
        if value < 1:
            raise ConfigError(f"--{name.replace('_', '-')} is {value}; it must be at least 1")


def _manifest_of(model: Path) -> Path:
    """Return the manifest that a run was trained on."""
    provenance = model / PROVENANCE_FILE
    if not provenance.is_file():
        raise ConfigError(f"{model} is no run that tells which images it was trained on; name some with --manifest")
    return Path(json_text.loads(provenance.read_text(encoding="utf-8"))["manifest"])


def _folders(models: list[Path], out: Path | None, split: str) -> list[Path | None]:
    """Return where each evaluation goes: below ``out``, or into the model's run, if it is in one."""
    if out is not None:
        return [out] if len(models) == 1 else [out / "first", out / "second"]
    return [None if find_checkpoint(path) == path else path / "evaluation" / split for path in models]


def _write(
    models: list[Path],
    results: list[Evaluation],
    folders: list[Path | None],
    comparison: Comparison | None,
    place: Path | None,
) -> None:
    for result, folder in zip(results, folders, strict=True):
        if folder is not None:
            write_evaluation(result, folder)
    if comparison is not None and place is not None:
        write_comparison(comparison, str(models[0]), str(models[1]), place)


def _facts(
    models: list[Path], results: list[Evaluation], folders: list[Path | None], comparison: Comparison | None
) -> dict[str, Any]:
    parts = zip(models, results, folders, strict=True)
    evaluations = [{"model": model, **result.summary, "written": folder} for model, result, folder in parts]
    return {"evaluations": evaluations, "comparison": comparison}


def _as_text(
    models: list[Path], results: list[Evaluation], folders: list[Path | None], comparison: Comparison | None
) -> str:
    parts = zip(models, results, folders, strict=True)
    blocks = ["\n".join(_evaluation_lines(*part)) for part in parts]
    if comparison is not None:
        blocks.append("\n".join(_comparison_lines(models, comparison)))
    return "\n\n".join(blocks)


def _evaluation_lines(model: Path, result: Evaluation, folder: Path | None) -> Iterator[str]:
    images = result.predictions.images
    part = "all" if result.split is None else f"split {result.split}"
    yield f"{model}: {result.backbone} ({result.head}), {part} of {result.manifest}"
    yield f"{len(images)} images of {len(set(result.predictions.patients))} patients"
    yield ""
    rows = [(name, f"{each.estimate:.3f}", _bounds(each)) for name, each in result.metrics.items()]
    yield table(("decisions", "estimate", "95 % interval"), rows)
    yield from _evidence_lines(result)
    yield from result.notes
    if folder is not None:
        yield f"written: {folder}"


def _evidence_lines(result: Evaluation) -> Iterator[str]:
    if result.map_size is None:
        return
    rows: list[tuple[str, ...]] = [
        (name, f"{each.score.estimate:.3f}", _bounds(each.score), *_numbers(each.chance, each.ceiling))
        for name, each in result.localization.items()
    ]
    if result.locality is not None:
        rows.append(("locality", f"{result.locality.estimate:.3f}", _bounds(result.locality), "", ""))
    yield ""
    if rows:
        yield table(("evidence", "estimate", "95 % interval", "chance", "ceiling"), rows)
    height, width = result.map_size
    yield f"{height}×{width} cells, {result.annotated} annotated images, completeness error {result.completeness:.1e}"


def _comparison_lines(models: list[Path], comparison: Comparison) -> Iterator[str]:
    rows = [
        (name, f"{each.estimate:+.3f}", f"[{each.low:+.3f}, {each.high:+.3f}]", f"{each.p_value:.3f}")
        for name, each in comparison.differences.items()
    ]
    yield f"{models[0]} minus {models[1]}"
    yield table(("difference", "estimate", "95 % interval", "p"), rows)
    if comparison.delong is not None:
        yield f"DeLong's test of the AUROCs: p = {comparison.delong.p_value:.3f}"


def _bounds(interval: Interval) -> str:
    return f"[{interval.low:.3f}, {interval.high:.3f}]"


def _numbers(*values: float) -> tuple[str, ...]:
    return tuple(f"{value:.3f}" for value in values)
