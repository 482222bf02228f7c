"""``softcam report``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import yaml

from softcam.cli.device import choose_device
from softcam.cli.output import show
from softcam.data.sample import Split
from softcam.errors import ConfigError
from softcam.model.checkpoint import find_checkpoint
from softcam.reporting.measured import NamedRun
from softcam.reporting.report import TITLE, write_report
from softcam.training.state import CONFIG_FILE


def report(
    runs: list[Path],
    *,
    names: list[str] | None = None,
    manifest: Path | None = None,
    split: Literal["train", "val", "test", "all"] = "test",
    out: Path = Path("report.html"),
    title: str = TITLE,
    finding: str | None = None,
    cases: int = 3,
    device: str | None = None,
    json: bool = False,
) -> None:
    """Make the HTML report of a run, or of several side by side.

    One page in one file: what was trained, how well it decides, whether its evidence is where the annotations
    are, and cases to look at.

    Args:
        runs: Folders of runs or models; differences are taken to the first, cases sorted by the last.
        names: What the report calls them, in the same order; the names of the folders by default.
        manifest: CSV file of the images; by default the one that the first run was trained with.
        split: Images to use: train, val, test or all.
        out: The HTML file to write.
        title: Head of the page.
        finding: Name of the class whose evidence is shown; by default the second of two, else the one with the
            most annotated images.
        cases: Cases to show of each outcome: true and false, positive and negative.
        device: Where to compute, such as cpu or cuda:1; by default a GPU where there is one.
        json: Print the result as JSON.

    Example:
        softcam report runs/softcam
        softcam report runs/black-box runs/softcam --names "Black box,SoftCAM" --out report.html
    """
    named = name_runs(runs, names)
    source = manifest if manifest is not None else manifest_of(runs[0])
    written = write_report(
        named,
        source,
        split=None if split == "all" else Split(split),
        out=out,
        title=title,
        class_name=finding,
        cases=cases,
        device=choose_device(device),
    )
    show({"report": written, "runs": [run.name for run in named]}, f"report: {written}", json)


def name_runs(runs: Sequence[Path], names: Sequence[str] | None) -> list[NamedRun]:
    """Give each run its name.

    Args:
        runs: Folders of runs or models.
        names: Their names; those of the folders by default.

    Raises:
        ConfigError: There are not as many names as runs.
        CheckpointError: A folder holds no model.
    """
    if names is not None and len(names) != len(runs):
        raise ConfigError(f"--names has {len(names)} names for {len(runs)} runs; give one for each")
    folders = [find_checkpoint(run).resolve() for run in runs]
    own = [folder.parent.name if folder.name == "model" else folder.name for folder in folders]
    return [NamedRun(name, run) for name, run in zip(names or own, runs, strict=True)]


def manifest_of(run: Path) -> Path:
    """Return the manifest that a run was trained with.

    Raises:
        ConfigError: The folder does not say it.
    """
    config = run / CONFIG_FILE
    try:
        return Path(yaml.safe_load(config.read_text(encoding="utf-8"))["data"]["manifest"])
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        raise ConfigError(f"{run} has no {CONFIG_FILE} that names its manifest; give --manifest") from None
