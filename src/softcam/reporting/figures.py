"""Figures of the report: small SVGs that follow the page's light or dark scheme."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from softcam.metrics.bootstrap import Interval
from softcam.metrics.curves import Curve

FloatArray: TypeAlias = NDArray[np.float64]
BoolArray: TypeAlias = NDArray[np.bool_]

PALETTE = ("#7f8894", "#e08214", "#2b8cd6", "#2a9d6f", "#b765c4", "#c8504b")
"""Colours of the models, told apart on white and on black; the first, the reference, is grey."""

_LINES: tuple[str | tuple[int, tuple[float, ...]], ...] = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1, 1.5)))
_INK = "#0b0c0d"  # stands for the colour of the page's text
_STYLE = (
    "<style>svg{color:#1f2328}@media(prefers-color-scheme:dark){svg{color:#e4e7eb}}"
    "text{font-family:system-ui,'Segoe UI',Helvetica,Arial,sans-serif}</style>"
)
_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "softcam",
    "font.size": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.15,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "lines.linewidth": 2,
    **dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color", "grid.color"), _INK
    ),
}


@dataclass(frozen=True)
class Embedded:
    """An image that lies within the page.

    Attributes:
        uri: Its data URI.
        alt: What it shows, for those who do not see it.
    """

    uri: str
    alt: str


@dataclass(frozen=True)
class Score:
    """A score of one model beside what bounds it.

    Attributes:
        value: The score with its interval.
        chance: Score of a map that knows nothing; None where there is no such thing.
        ceiling: Score of the annotation itself at the map's resolution, likewise.
    """

    value: Interval
    chance: float | None = None
    ceiling: float | None = None


def model_colour(index: int) -> str:
    """Return the colour of the model at this place."""
    return PALETTE[index % len(PALETTE)]


def data_uri(content: bytes, kind: str) -> str:
    """Return the data URI of a file's content.

    Args:
        content: The bytes.
        kind: Media type, such as ``image/png``.
    """
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def roc_figure(curves: Mapping[str, Curve], title: str = "ROC") -> Embedded:
    """Draw ROC curves, one per model."""
    with _figure(4.4, 3.9) as (figure, axes):
        axes.plot([0, 1], [0, 1], color=_INK, alpha=0.35, linewidth=1)
        _draw_curves(axes, curves)
        axes.set(title=title, xlabel="false positive rate", ylabel="true positive rate")
        axes.legend(loc="lower right")
        return _embedded(figure, f"{title}: area under the curve {_areas(curves)}")


def pr_figure(curves: Mapping[str, Curve], prevalence: float, title: str = "Precision and recall") -> Embedded:
    """Draw precision-recall curves, one per model, and the prevalence, which is chance."""
    with _figure(4.4, 3.9) as (figure, axes):
        axes.axhline(prevalence, color=_INK, alpha=0.35, linewidth=1)
        _draw_curves(axes, curves)
        axes.set(title=title, xlabel="recall", ylabel="precision")
        axes.legend(loc="lower left")
        return _embedded(figure, f"{title}: average precision {_areas(curves)}")


def calibration_figure(scores: Mapping[str, tuple[FloatArray, BoolArray]], groups: int = 10) -> Embedded:
    """Draw how often the class is there against how probable the model calls it.

    Args:
        scores: For each model the probabilities ``(N,)`` and the truth ``(N,)``.
        groups: Number of points of each model, each of as many images.
    """
    with _figure(4.4, 3.9) as (figure, axes):
        axes.plot([0, 1], [0, 1], color=_INK, alpha=0.35, linewidth=1)
        for index, (name, (probability, truth)) in enumerate(scores.items()):
            said, found = reliability(probability, truth, groups)
            style: dict[str, Any] = {"color": model_colour(index), "linestyle": _line(index), "label": name}
            axes.plot(said, found, marker="o", markersize=6, linewidth=1.1, **style)
        axes.set(title="Calibration", xlabel="predicted probability", ylabel="observed share")
        axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
        axes.legend(loc="lower right")
        return _embedded(figure, f"Calibration: predicted probability against observed share, of {', '.join(scores)}")


def reliability(probability: FloatArray, truth: BoolArray, groups: int) -> tuple[FloatArray, FloatArray]:
    """Group predictions by their probability.

    Args:
        probability: ``(N,)`` in [0, 1].
        truth: ``(N,)``.
        groups: Number of groups, of equally many predictions each; N where that is less.

    Returns:
        For each group its mean probability and the share that is true.
    """
    parts = np.array_split(np.argsort(probability, kind="stable"), min(groups, len(probability)))
    return np.array([probability[part].mean() for part in parts]), np.array([truth[part].mean() for part in parts])


def epochs_figure(title: str, values: Mapping[str, Sequence[float]]) -> Embedded:
    """Draw a number by epoch.

    Args:
        title: What it is.
        values: For each model its value after each epoch; NaN where there is none.
    """
    with _figure(4.4, 3.1) as (figure, axes):
        for index, (name, column) in enumerate(values.items()):
            epochs = range(1, len(column) + 1)
            style: dict[str, Any] = {"color": model_colour(index), "linestyle": _line(index), "label": name}
            axes.plot(epochs, column, marker="o", markersize=4, **style)
        axes.set(title=title, xlabel="epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend()
        return _embedded(figure, f"{title} by epoch, of {', '.join(values)}")


def score_figure(title: str, scores: Mapping[str, Score | None]) -> Embedded:
    """Draw one score of the evidence of all models, with intervals, chance and ceiling.

    Args:
        title: Name of the score.
        scores: The score of each model; None where it has none.
    """
    with _figure(4.4, 0.95 + 0.42 * len(scores)) as (figure, axes):
        for row, score in enumerate(scores.values()):
            if score is not None:
                _draw_score(axes, -row, score, model_colour(row))
        axes.set_yticks([-row for row in range(len(scores))], list(scores))
        axes.set(title=title, xlim=_span(scores.values()), ylim=(0.6 - len(scores), 0.6))
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", length=0)
        told = "; ".join(f"{name} {_score_text(score)}" for name, score in scores.items())
        return _embedded(figure, f"{title}: {told}")


def _span(scores: Iterable[Score | None]) -> tuple[float, float]:
    """From 0, or below, to a little beyond the greatest number."""
    numbers = [
        number
        for score in scores
        if score is not None
        for number in (score.value.low, score.value.high, score.value.estimate, score.chance, score.ceiling)
        if number is not None and np.isfinite(number)
    ]
    low, high = min(0.0, *numbers, 0.0), max(0.05, *numbers, 0.0)
    margin = 0.05 * (high - low)
    return low - margin * (low < 0), high + margin


def _draw_score(axes: Axes, y: float, score: Score, shade: str) -> None:
    if score.ceiling is not None:
        axes.barh(y, score.ceiling, height=0.56, color=shade, alpha=0.16, linewidth=0)
        axes.plot([score.ceiling] * 2, [y - 0.28, y + 0.28], color=shade, alpha=0.8, linewidth=1.2)
    if score.chance is not None:
        axes.plot([score.chance] * 2, [y - 0.28, y + 0.28], color=_INK, linewidth=1.2, linestyle=(0, (2, 1.2)))
    axes.plot([score.value.low, score.value.high], [y, y], color=shade, linewidth=2.4, solid_capstyle="round")
    axes.plot(score.value.estimate, y, "o", color=shade, markersize=7.5)


def _score_text(score: Score | None) -> str:
    if score is None:
        return "not measured"
    bounds = [f"{name} {value:.3f}" for name, value in vars(score).items() if name != "value" and value is not None]
    return " ".join([str(score.value), *([f"({', '.join(bounds)})"] if bounds else [])])


def _draw_curves(axes: Axes, curves: Mapping[str, Curve]) -> None:
    for index, (name, curve) in enumerate(curves.items()):
        style: dict[str, Any] = {
            "color": model_colour(index),
            "linestyle": _line(index),
            "label": f"{name} ({curve.area:.3f})",
        }
        axes.plot(curve.x, curve.y, clip_on=False, **style)
    axes.set(xlim=(0, 1), ylim=(0, 1.02))


def _areas(curves: Mapping[str, Curve]) -> str:
    return ", ".join(f"{curve.area:.3f} ({name})" for name, curve in curves.items())


def _line(index: int) -> str | tuple[int, tuple[float, ...]]:
    return _LINES[index % len(_LINES)]


@contextmanager
def _figure(width: float, height: float) -> Iterator[tuple[Figure, Axes]]:
    """A figure with one panel in the report's style; nothing global is touched, nothing has to be closed."""
    with matplotlib.rc_context(_SETTINGS):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, figure.add_subplot()


def _embedded(figure: Figure, alt: str) -> Embedded:
    stream = io.StringIO()
    figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    svg = stream.getvalue().replace(_INK, "currentColor").replace("<defs>", f"{_STYLE}<defs>", 1)
    return Embedded(data_uri(svg[svg.index("<svg") :].encode(), "image/svg+xml"), alt)
