"""``softcam compare``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from softcam.cli.device import choose_device
from softcam.cli.output import show, table
from softcam.cli.report import manifest_of, name_runs
from softcam.data.manifest import Manifest, Split
from softcam.errors import ConfigError
from softcam.evaluation.comparison.decisions import Protocol
from softcam.evaluation.comparison.layout import lay_out
from softcam.evaluation.comparison.plan import Plan, Settings, make_plan
from softcam.evaluation.comparison.run import Work, explain_all
from softcam.evaluation.comparison.tables import LEVEL, Table, make_tables
from softcam.evaluation.comparison.write import facts, write_tables
from softcam.model.checkpoint import load_checkpoint
from softcam.reporting.comparison import write_comparison_report


def compare(
    models: list[Path],
    *,
    manifest: Path | None = None,
    out: Path = Path("comparison"),
    explainers: list[str] | None = None,
    metrics: list[str] | None = None,
    split: Literal["train", "val", "test", "all"] = "test",
    black_box: Path | None = None,
    names: list[str] | None = None,
    protocol: Protocol = Protocol.DEFAULT,
    patches: int = 30,
    max_images: int | None = None,
    reference: str = "softcam",
    gallery: int = 6,
    batch_size: int = 16,
    workers: int = 0,
    device: str | None = None,
    resamples: int = 2000,
    seed: int = 0,
    json: bool = False,
) -> None:
    """Compare explanations: models x explainers x metrics over the images of a manifest.

    One table for each model, with every explainer on it, and one of a separately trained black box beside the
    models: 95 % intervals (bootstrap over patients), paired tests against SoftCAM, chance, ceilings, and what a map
    costs. Every number is on disk as soon as it is computed: the same command again goes on where it was stopped.

    Args:
        models: Folders of runs or of trained models.
        manifest: CSV file of the images; by default the one that the first model was trained on.
        out: Folder for tables, figures and the numbers of each image.
        explainers: Names, such as softcam, cam, gradcam, rise, or module:object for one of your own; by default all
            that cost at most a few hundred forward passes and that the networks can have.
        metrics: Of activation_precision, activation_sensitivity, topk_precision, pointing_game, pixel_auroc,
            pixel_average_precision, deletion, insertion, max_sensitivity, sanity; by default all but the last two.
        split: Images to use: train, val, test or all.
        black_box: Folder of a separately trained black box, for a second table.
        names: What tables call the models, the black box last; by default the names of the folders.
        protocol: How decisions are followed while images are taken apart: by default the class that was predicted
            first, towards a blurred image; paper for the published way.
        patches: Patches that top-k precision looks at, and that deletion and insertion take.
        max_images: At most so many images, drawn at random.
        reference: The explainer that the others are tested against.
        gallery: Images shown side by side, drawn at random.
        batch_size: Images per batch.
        workers: Processes that load images.
        device: Where to compute, such as cpu or cuda:1; by default a GPU where there is one.
        resamples: Bootstrap draws behind the intervals.
        seed: Seed of all that is drawn.
        json: Print the result as JSON.

    Example:
        softcam compare runs/softcam --black-box runs/black-box --out comparison
        softcam compare runs/softcam --explainers softcam,gradcam,rise --metrics topk_precision,deletion --max-images 50
    """
    if batch_size < 1:
        raise ConfigError(f"--batch-size is {batch_size}; it must be at least 1")
    settings = Settings(
        metrics=None if metrics is None else tuple(metrics),
        split=None if split == "all" else Split(split),
        max_images=max_images,
        protocol=protocol,
        patches=patches,
        reference=reference,
        gallery=gallery,
        resamples=resamples,
        seed=seed,
    )
    where = choose_device(device)
    named = name_runs([*models, *([black_box] if black_box else [])], names)
    loaded = [(run.name, load_checkpoint(run.path, device=where)) for run in named]
    plan = make_plan(
        loaded[: len(models)],
        Manifest.read(manifest if manifest is not None else manifest_of(models[0])),
        settings,
        explainers=explainers,
        black_box=loaded[-1] if black_box else None,
    )
    explained = explain_all(plan, out, Work(batch_size, workers, where))
    notes = (*plan.notes, *explained.notes)
    tables = make_tables(plan, explained)
    write_tables(plan, explained, tables, notes, out)
    page = write_comparison_report(plan, tables, notes, out)
    text = "\n".join(_lines(plan, tables, notes, explained.continued, page))
    show({**facts(plan, tables, notes), "continued": explained.continued, "written": out}, text, json)


def _lines(plan: Plan, tables: Sequence[Table], notes: Sequence[str], continued: int, page: Path) -> Iterator[str]:
    samples = plan.samples
    yield f"{len(samples)} images of {len({sample.patient for sample in samples})} patients"
    if continued:
        yield f"continued: {continued} maps were there already"
    for each in tables:
        layout = lay_out(each, with_models=len(each.models) > 1)
        yield f"\n{each.title}"
        yield table(layout.header, [tuple(f"{cell.value}{'*' * cell.differs}" for cell in row) for row in layout.rows])
        yield from each.notes
    yield ""
    yield f"* differs from {plan.settings.reference}, p < {LEVEL:g} after Holm's correction; intervals are in the files"
    yield from notes
    yield f"written: {page}"
