"""Figures of an audit: what goes with the labels, where the evidence is on average, and where it should not be."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from softcam.data.images import read_image
from softcam.evaluation.audit.associations import Association
from softcam.evaluation.audit.evidence import MeanMap
from softcam.evaluation.audit.places import Outside, Place
from softcam.evaluation.audit.properties import Kind
from softcam.evaluation.audit.verdict import CONFOUNDED
from softcam.metrics.bootstrap import Interval
from softcam.reporting.overlay import blend, grey, to_picture

COLOURS = {Kind.RECORDING: "#2b8cd6", Kind.MARGIN: "#c8504b", Kind.PICTURE: "#8a929c"}
"""Of the kinds of property, in all figures."""

_SCALE_SHARE = 0.99  # of the cells lie within the scale
_COLUMNS = 4  # images side by side


def properties_figure(associations: Sequence[Association]) -> Figure:
    """Draw how far each property goes with the label, and with the model's output among images of one label.

    Args:
        associations: Of one class.
    """
    figure = Figure(figsize=(9.5, 0.32 * len(associations) + 1.3), layout="constrained")
    label, output = figure.subplots(1, 2, sharey=True)
    for place, each in enumerate(associations):
        _draw_interval(label, each.separation, -place, COLOURS[each.kind])
        if each.follows is not None:
            _draw_interval(output, each.follows, -place, COLOURS[each.kind])
    for edge in (CONFOUNDED, 1 - CONFOUNDED):
        label.axvline(edge, color="#c8504b", linewidth=0.8, linestyle=(0, (3, 2)))
    label.axvline(0.5, color="black", linewidth=0.8)
    output.axvline(0, color="black", linewidth=0.8)
    label.set_yticks([-place for place in range(len(associations))], [each.title for each in associations], fontsize=9)
    label.set(xlim=(0, 1), xlabel="AUROC for the label")
    output.set(xlim=(-1, 1), xticks=[-1, -0.5, 0, 0.5, 1], xlabel="rank correlation with the logit, same label")
    for axes in (label, output):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="x", alpha=0.2)
    return figure


def mean_maps_figure(maps: Sequence[MeanMap], places: Sequence[Place]) -> Figure:
    """Draw the mean maps of each class, on one scale, the regions with more evidence than area outlined.

    Args:
        maps: One or more classes.
        places: What their regions hold.
    """
    figure = Figure(figsize=(9.5, 3.1 * len(maps)), layout="constrained")
    panels = figure.subplots(len(maps), 3, squeeze=False)
    limit = float(np.quantile(np.abs([(each.present, each.absent) for each in maps]), _SCALE_SHARE)) or 1.0
    image = None
    for line, each in zip(panels, maps, strict=True):
        titles = (f"images of {each.class_name}", "other images", "difference: what tells them apart")
        for axes, title, values in zip(line, titles, (each.present, each.absent, each.difference), strict=True):
            image = axes.imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit, extent=(0, 1, 1, 0))
            axes.set_title(title, fontsize=10)
            axes.set(xticks=[], yticks=[], aspect=values.shape[0] / values.shape[1])
        _outline_corners(line[2], [place for place in places if place.class_name == each.class_name])
    if image is not None:
        figure.colorbar(image, ax=panels, label="logits", shrink=0.8)
    return figure


def worst_figure(worst: Sequence[Outside], maps: Sequence[NDArray[np.float32]]) -> Figure:
    """Draw the images whose evidence is most outside the region of interest, on one scale.

    Raises:
        DataError: An image cannot be read.
    """
    rows = -(-len(worst) // _COLUMNS)
    figure = Figure(figsize=(2.4 * _COLUMNS, 2.75 * rows), layout="constrained")
    limit = float(np.quantile(np.abs(np.concatenate([each.ravel() for each in maps])), _SCALE_SHARE)) or 1.0
    panels = figure.subplots(rows, _COLUMNS, squeeze=False)
    for axes in panels.flat:
        axes.set_axis_off()
    for axes, each, evidence in zip(panels.flat, worst, maps, strict=False):
        picture = to_picture(read_image(each.image).pixels.numpy())
        axes.imshow(blend(grey(picture), evidence, limit))
        axes.set_title(f"{Path(each.image).name[:26]}\n{each.share:.0%} outside, {each.class_name}", fontsize=8)
    return figure


def _draw_interval(axes: Axes, interval: Interval, height: float, colour: str) -> None:
    axes.plot([interval.low, interval.high], [height, height], color=colour, linewidth=2)
    axes.plot(interval.estimate, height, "o", color=colour, markersize=5)


def _outline_corners(axes: Axes, places: Sequence[Place]) -> None:
    for place in places:
        vertical, _, horizontal = place.region.partition(" ")
        if horizontal and place.share.low > place.area:
            side = float(np.sqrt(place.area))
            corner = (0 if horizontal == "left" else 1 - side, 0 if vertical == "upper" else 1 - side)
            axes.add_patch(Rectangle(corner, side, side, fill=False, edgecolor="black", linewidth=1.2))
