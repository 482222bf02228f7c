"""What a sweep's sparsity and precision cost: one figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from softcam.evaluation.sweep.choose import SettingResult
from softcam.evaluation.sweep.run import SweepResult
from softcam.evaluation.sweep.write import NAMES
from softcam.files import atomic_path
from softcam.reporting.figures import PALETTE
from softcam.training.sweep.grid import DENSE, Setting

FIGURE_FILE = "sweep.png"
_SETTINGS: dict[Any, Any] = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.2,
    "legend.frameon": False,
}


def write_sweep_figure(result: SweepResult) -> Path:
    """Draw AUROC and accuracy against sparsity and, where there are annotations, against activation precision.

    A large mark is a setting, the mean over its seeds, a small one a run; the colour tells μ. The dense setting is a
    square, the chosen one has a ring, and the band below the dense AUROC is the margin.

    Args:
        result: The sweep; what is drawn is measured on its validation images.

    Returns:
        The picture, ``OUT/sweep.png``.
    """
    columns = [name for name in ("sparsity", "activation_precision") if _known(result.settings, name)]
    with matplotlib.rc_context(_SETTINGS):
        figure = Figure(figsize=(1.2 + 4.3 * max(1, len(columns)), 6.4), layout="constrained")
        panels = figure.subplots(2, max(1, len(columns)), sharex="col", sharey="row", squeeze=False)
        for row, quality in zip(panels, ("auroc", "accuracy"), strict=True):
            for axes, name in zip(row, columns, strict=False):
                _draw(axes, result, name, quality)
            row[0].set_ylabel(f"{NAMES[quality]} (validation)")
        for axes, name in zip(panels[-1], columns, strict=False):
            axes.set_xlabel(NAMES[name])
        figure.legend(handles=_legend(result), loc="outside lower center", ncols=4, fontsize=9)
        with atomic_path(result.folder / FIGURE_FILE) as path:
            figure.savefig(path, dpi=150, metadata={"Software": None})
    return result.folder / FIGURE_FILE


def _known(settings: Sequence[SettingResult], name: str) -> bool:
    return any(np.isfinite(each.values[name]) for each in settings)


def _draw(axes: Axes, result: SweepResult, name: str, quality: str) -> None:
    for each in result.settings:
        colour = _colour(each.setting, result)
        x, y = each.values[name], each.values[quality]
        for run in (run.values for run in each.runs):
            axes.plot([x, run[name]], [y, run[quality]], color=colour, alpha=0.3, linewidth=0.8)
            axes.plot(run[name], run[quality], ".", color=colour, alpha=0.5)
        dense, chosen = each.setting == DENSE, each.setting == result.chosen.setting
        if chosen:
            axes.plot(x, y, "o", markersize=15, markerfacecolor="none", markeredgecolor="black", markeredgewidth=1.3)
        axes.plot(x, y, "s" if dense else "o", color=colour, markersize=8)
        if np.isfinite(x) and np.isfinite(y):
            place: dict[str, Any] = {"xytext": (-9, -13), "ha": "right"} if dense else {"xytext": (9, 5)}
            axes.annotate(_label(each.setting), (x, y), textcoords="offset points", fontsize=8.5, **place)
        if dense and quality == "auroc":
            axes.axhspan(y - result.config.margin, y, color=PALETTE[0], alpha=0.15, linewidth=0)
    axes.margins(x=0.16, y=0.12)


def _label(setting: Setting) -> str:
    ridge = f", λ2 {setting.l2:g}" if setting.l2 else ""
    return "dense" if setting == DENSE else f"λ1 {setting.l1:g}{ridge}"


def _colour(setting: Setting, result: SweepResult) -> str:
    strengths = sorted({each.setting.mix for each in result.settings})
    return PALETTE[strengths.index(setting.mix) % len(PALETTE)]


def _legend(result: SweepResult) -> list[Line2D]:
    settings = {each.setting.mix: each.setting for each in result.settings}
    marks = [
        Line2D([], [], linestyle="", marker="o", markersize=8, color=_colour(settings[mix], result), label=f"μ {mix:g}")
        for mix in sorted(settings)
    ]
    ring: dict[str, Any] = {"markerfacecolor": "none", "markeredgecolor": "black", "linestyle": ""}
    chosen = Line2D([], [], marker="o", markersize=12, label="chosen", **ring)
    band = Line2D([], [], color=PALETTE[0], alpha=0.3, linewidth=8, label=f"margin {result.config.margin:g}")
    return [*marks, chosen, band]
