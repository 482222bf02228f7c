"""``softcam audit``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from softcam.cli.device import choose_device
from softcam.cli.output import show, table
from softcam.cli.report import manifest_of
from softcam.data.manifest import Manifest, Split
from softcam.errors import ConfigError
from softcam.evaluation.audit import Audit, Level, Roi, Settings, audit as run_audit
from softcam.evaluation.audit.write import audit_facts, write_audit
from softcam.model.checkpoint import load_checkpoint
from softcam.reporting.audit import headline, write_audit_report


def audit(
    model: Path,
    *,
    manifest: Path | None = None,
    out: Path = Path("audit"),
    split: Literal["train", "val", "test", "all"] = "test",
    roi: Roi = Roi.AUTO,
    batch_size: int = 16,
    workers: int = 0,
    device: str | None = None,
    resamples: int = 2000,
    seed: int = 0,
    json: bool = False,
) -> None:
    """Look for shortcuts: does anything but the finding tell the labels apart, and does the model look at it?

    The training images are asked which trivial properties go with their labels: format, size and compression of
    the file, grain and brightness of the margin, marks in the corners, sharpness and the like. The model is asked
    how far its output follows them, and how much of its evidence lies in corners, border, and outside the region of
    interest. The alarm is raised by what no finding explains: an AUROC surely above .65 of a property that no
    disease changes, or a corner or the border with surely more than three times the evidence of its area and a
    tenth of all. All intervals hold at once with 95 % confidence.

    Args:
        model: Folder of a run or of a trained model.
        manifest: CSV file of the images; by default the one that the model was trained on.
        out: Folder for audit.html, audit.json, images.csv and figures.
        split: Images to examine the model on: train, val, test or all.
        roi: Region of interest: lung or retina, found automatically; mask, the annotations; auto, lung or retina by
            the image; or none.
        batch_size: Images per batch.
        workers: Threads and processes that read images.
        device: Where to compute, such as cpu or cuda:1; by default a GPU where there is one.
        resamples: Bootstrap draws of patients behind the intervals.
        seed: Seed of the draws.
        json: Print the result as JSON.

    Example:
        softcam audit runs/chest --out audit
        softcam audit runs/chest --manifest other-hospital.csv --split all --roi lung
    """
    for name, value in (("batch-size", batch_size), ("resamples", resamples)):
        if value < 1:
            raise ConfigError(f"--{name} is {value}; it must be at least 1")
    where = choose_device(device)
    settings = Settings(
        split=None if split == "all" else Split(split),
        roi=roi,
        resamples=resamples,
        seed=seed,
        batch_size=batch_size,
        workers=workers,
    )
    images = Manifest.read(manifest if manifest is not None else manifest_of(model))
    result = run_audit(load_checkpoint(model, device=where), images, settings, device=where)
    write_audit(result, out)
    page = write_audit_report(result, out)
    show({**audit_facts(result), "written": out}, "\n".join(_lines(result, page)), json)


def _lines(result: Audit, page: Path) -> Iterator[str]:
    yield f"{len(result.predictions)} images examined, labels of {result.trained_on}"
    yield headline(result)
    for finding in result.findings:
        yield f"  {'!' if finding.level is Level.ALARM else '-'} {finding.sentence}"
    rows = [(each.region, each.class_name, f"{each.area:.2f}", str(each.share)) for each in result.places]
    if rows:
        yield ""
        yield table(("evidence in", "class", "area", "share of the evidence"), rows)
    yield from result.notes
    yield f"written: {page}"
