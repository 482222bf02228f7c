"""Branching vessels: the tree of a retina, grown from the optic disc, and what grows off any line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from softcam.data.phantoms.canvas import Array, Rng

VERTICES = 44  # of each line
_STEP_LENGTH = 0.022


@dataclass(frozen=True)
class Paths:
    """Lines that taper.

    Attributes:
        points: ``(lines, vertices, 2)``, x and y.
        radii: Half the width at each vertex, ``(lines, vertices)``; 0 where the line has ended.
    """

    points: Array
    radii: Array

    @property
    def headings(self) -> Array:
        """Direction of the line at each vertex, radians, ``(lines, vertices)``."""
        delta = np.gradient(self.points, axis=1)
        return np.arctan2(delta[..., 1], delta[..., 0])


def join(*parts: Paths) -> Paths:
    """All lines of several sets with equally many vertices."""
    return Paths(np.concatenate([p.points for p in parts]), np.concatenate([p.radii for p in parts]))


def grow_tree(rng: Rng, fovea: Array, calibre: float) -> Paths:
    """Grow the arteries or the veins of an eye.

    The temporal arcades are parabolas around the fovea, the nasal trunks leave the disc radially; two
    generations of branches turn off them and stay clear of the fovea.

    The disc is the origin, x points to the temple, y down; the unit is the radius of the field of view.

    Args:
        rng: Source of the random numbers.
        fovea: Position of the fovea, ``(2,)``.
        calibre: Half the width of a trunk at the disc.

    Returns:
        The tree.
    """
    trunks = _trunks(rng, fovea, calibre)
    twigs = _clear_of_fovea(sprout(rng, trunks, 7, length=(0.45, 1.0), thinner=(0.38, 0.66)), fovea)
    ends = _clear_of_fovea(sprout(rng, twigs, 2, length=(0.25, 0.6), thinner=(0.4, 0.7)), fovea)
    return join(trunks, twigs, ends)


def _trunks(rng: Rng, fovea: Array, calibre: float) -> Paths:
    temporal = [_arcade(rng, fovea, side) for side in (-1, 1)]
    nasal = [_radial(rng, np.pi + side * rng.uniform(0.45, 1.1), 1.3) for side in (-1, 1)]
    small = [_radial(rng, rng.uniform(-0.25, 0.25) + np.pi * (rng.uniform() < 0.7), 0.8) for _ in range(2)]
    points = np.stack(temporal + nasal + small)
    thickness = calibre * np.array([1, 1, 0.75, 0.75, 0.45, 0.45]) * rng.uniform(0.85, 1.15, 6)
    taper = np.linspace(1, 0.4, points.shape[1])
    return _clear_of_fovea(Paths(points, thickness[:, None] * taper), fovea)


def _arcade(rng: Rng, fovea: Array, side: int) -> Array:
    height = rng.uniform(0.42, 0.62)
    t = np.linspace(0, rng.uniform(1.5, 1.8), VERTICES)
    x = fovea[0] * (0.95 * t**2 - 0.1 * np.sin(np.pi * np.clip(t, 0, 1)))
    y = side * height * (1.1 * t - 0.1 * t**3) + fovea[1] * np.clip(t, 0, 1)
    return np.stack([x, y], axis=1) + _wiggle(rng, 0.035)


def _radial(rng: Rng, heading: float, reach: float) -> Array:
    r = np.linspace(0, reach, VERTICES)
    angle = heading + rng.normal(0, 0.25) * r
    return np.stack([r * np.cos(angle), r * np.sin(angle)], axis=1) + _wiggle(rng, 0.025)


def _wiggle(rng: Rng, amplitude: float) -> Array:
    """Smooth sideways wandering that is 0 at the start of a line, ``(steps, 2)``."""
    t = np.linspace(0, 1, VERTICES)[:, None]
    wave = np.sin(2 * np.pi * (np.array([1.0, 2.1, 3.7])[:, None, None] * t + rng.uniform(size=(3, 1, 2))))
    weight = rng.standard_normal((3, 1, 2)) / np.array([1, 1.5, 2.5])[:, None, None]
    wander: Array = amplitude * np.sqrt(t) * (weight * wave).sum(axis=0) * np.clip(4 * t, 0, 1)
    return wander


def sprout(rng: Rng, parents: Paths, per_line: int, length: tuple[float, float], thinner: tuple[float, float]) -> Paths:
    """Grow side branches, evenly spread over each line, to both of its sides.

    Args:
        rng: Source of the random numbers.
        parents: The lines to grow from, with `VERTICES` vertices.
        per_line: Branches per line.
        length: Shortest and longest branch, up to about 1.
        thinner: Smallest and largest width of a branch, as a share of its parent's where it leaves.

    Returns:
        The branches alone, with `VERTICES` vertices.
    """
    lines = len(parents.points)
    slots = (np.arange(per_line) + rng.uniform(0.1, 0.9, (lines, per_line))) / per_line
    at = np.clip((0.08 + 0.9 * slots) * (VERTICES - 1), 0, VERTICES - 1).astype(int).reshape(-1)
    line = np.repeat(np.arange(lines), per_line)
    count = len(line)
    side = rng.choice([-1.0, 1.0], count)
    heading = parents.headings[line, at] + side * rng.uniform(0.45, 1.1, count)
    radius = parents.radii[line, at] * rng.uniform(*thinner, count)
    steps = rng.uniform(*length, count) / _STEP_LENGTH
    points = _walk(rng, parents.points[line, at], heading, side)
    life = np.clip(1 - np.arange(VERTICES)[None, :] / steps[:, None], 0, None)
    return Paths(points, radius[:, None] * (0.35 + 0.65 * life) * (life > 0))


def _walk(rng: Rng, start: Array, heading: Array, side: Array) -> Array:
    """Random walks that first bend back towards the parent's direction, ``(lines, steps, 2)``."""
    count = len(start)
    restless = rng.standard_normal((count, VERTICES)) * 0.22
    smooth = (restless[:, :-2] + restless[:, 1:-1] + restless[:, 2:]) / np.sqrt(3)
    back = -side[:, None] * 0.045 * np.exp(-np.arange(VERTICES - 2) / 12)
    turns = np.concatenate([np.zeros((count, 2)), smooth * 0.6 + back], axis=1)
    angle = heading[:, None] + np.cumsum(turns, axis=1)
    steps = _STEP_LENGTH * np.stack([np.cos(angle), np.sin(angle)], axis=2)
    return start[:, None] + np.cumsum(steps, axis=1) - steps[:, :1]


def _clear_of_fovea(paths: Paths, fovea: Array) -> Paths:
    """End each line where it first comes near the fovea, the avascular zone."""
    near = np.linalg.norm(paths.points - fovea, axis=2) < 0.14
    ended = np.logical_or.accumulate(near, axis=1)
    return Paths(paths.points, np.where(ended, 0, paths.radii))
