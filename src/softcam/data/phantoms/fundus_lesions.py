"""Signs of diabetic retinopathy: microaneurysms, haemorrhages, hard exudates, cotton-wool spots."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from softcam.data.phantoms.canvas import Array, Patch, Rng, blob, smooth_noise
from softcam.data.phantoms.eye import Eye
from softcam.data.phantoms.options import PhantomOptions

FEWEST_SITES, MOST_SITES = 3, 9


class FundusLesion(StrEnum):
    """Kinds of lesion, in the order in which they are painted."""

    COTTON_WOOL = "cotton_wool"
    EXUDATE = "exudate"
    HAEMORRHAGE = "haemorrhage"
    MICROANEURYSM = "microaneurysm"


SHARES: Mapping[FundusLesion, float] = {
    FundusLesion.COTTON_WOOL: 0.07,
    FundusLesion.EXUDATE: 0.30,
    FundusLesion.HAEMORRHAGE: 0.38,
    FundusLesion.MICROANEURYSM: 0.25,
}
"""How often each kind of lesion is seen, of all sites of disease."""


@dataclass(frozen=True, eq=False)
class Palette:
    """What lesions are made of, in red, green and blue, each ``(3,)``.

    Attributes:
        blood: Absorption of old blood.
        lipid: Colour of hard exudates.
        wool: Colour of cotton-wool spots.
    """

    blood: Array
    lipid: Array
    wool: Array


TYPICAL = Palette(
    blood=np.array([0.50, 1.20, 1.00], dtype=np.float32),
    lipid=np.array([1.02, 0.88, 0.46], dtype=np.float32),
    wool=np.array([0.96, 0.86, 0.68], dtype=np.float32),
)


@dataclass(frozen=True)
class _Site:
    """Where lesions may be put, and how large and strong they are there."""

    eye: Eye
    options: PhantomOptions
    rng: Rng
    palette: Palette

    def length(self, low: float, high: float) -> float:
        """A length in canvas units: uniform, times the lesion size."""
        return self.options.lesion_size * self.eye.field_radius * self.rng.uniform(low, high)

    def place(self, reach: float) -> tuple[float, float]:
        """A point within ``reach`` of the fovea (in field radii), off the disc and inside the field."""
        eye = self.eye
        point = eye.fovea
        for _ in range(50):
            radius, angle = reach * np.sqrt(self.rng.uniform(0.01, 1)), self.rng.uniform(0, 2 * np.pi)
            point = eye.fovea + eye.field_radius * radius * np.array([np.cos(angle), np.sin(angle)])
            inside = np.hypot(*point) < 0.86 * eye.field_radius and abs(point[1]) < eye.flat - 0.1
            if inside and not self.on_disc(point):
                break
        return float(point[0]), float(point[1])

    def on_disc(self, point: Sequence[float] | Array) -> bool:
        """Whether a point lies on or right beside the optic disc."""
        offset = np.asarray(point) - self.eye.disc
        return bool(np.hypot(*offset) < 1.4 * self.eye.disc_radius)

    def along_fibres(self, point: tuple[float, float]) -> float:
        """Direction of the nerve fibres, which fan out from the disc."""
        return float(np.arctan2(point[1] - self.eye.disc[1], point[0] - self.eye.disc[0]))


def paint_lesions(
    healthy: Array,
    eye: Eye,
    field_of_view: Array,
    options: PhantomOptions,
    rng: Rng,
    palette: Palette = TYPICAL,
    shares: Mapping[FundusLesion, float] = SHARES,
) -> Iterator[tuple[str, Array]]:
    """Paint 3 to 9 sites of disease, at least one of them a haemorrhage or exudates.

    Args:
        healthy: The clean image, ``(3, size, size)``.
        eye: Where things are.
        field_of_view: ``(size, size)``, 0 where the camera sees nothing.
        options: Size and contrast of the lesions.
        rng: Source of number, kind, place and shape.
        palette: What the lesions are made of.
        shares: How often each kind is seen; they sum to 1.

    Yields:
        A kind of lesion and the image with all lesions painted so far, for the kinds that occur.
    """
    count = int(rng.integers(FEWEST_SITES, MOST_SITES + 1))
    kinds = rng.choice(list(shares), size=count, p=list(shares.values()))
    kinds[0] = FundusLesion.HAEMORRHAGE if rng.uniform() < 0.5 else FundusLesion.EXUDATE
    site = _Site(eye, options, rng, palette)
    image = healthy
    for kind in FundusLesion:
        number = int((kinds == kind).sum())
        if number:
            image = image.copy()
            for _ in range(number):
                _PAINTERS[kind](image, site, field_of_view)
            yield kind, image


def _stain(
    image: Array, patch: Patch, field_of_view: Array, blood: Array, density: float, mottle: Array | None = None
) -> None:
    """Blood on the image: absorbs by its coverage, unevenly where a mottle is given."""
    absorbed = density * patch.coverage * field_of_view[patch.where]
    if mottle is not None:
        absorbed *= np.clip(1 + np.float32(0.3) * mottle[patch.where], 0.3, 1.7)
    image[(slice(None), *patch.where)] *= np.exp(-absorbed * blood[:, None, None])


def _cover(image: Array, patch: Patch, field_of_view: Array, colour: Array, opacity: float) -> None:
    """An opaque deposit, lit like its surroundings."""
    part = image[(slice(None), *patch.where)]
    light = np.float32(0.35) + np.float32(0.65) * np.clip(part[0] / np.float32(0.8), 0, 1)
    share = np.clip(opacity * patch.coverage, 0, 1) * field_of_view[patch.where]
    target = np.maximum(colour[:, None, None] * light, part)
    part += (np.clip(target, 0, 1) - part) * share


def _microaneurysms(image: Array, site: _Site, field_of_view: Array) -> None:
    """A group of one to four dark red dots."""
    centre = site.place(0.85)
    for _ in range(int(site.rng.integers(1, 5))):
        shift = site.rng.normal(0, 0.06, 2)
        spot = (centre[0] + float(shift[0]), centre[1] + float(shift[1]))
        radius = site.length(0.013, 0.022)
        patch = blob(site.rng, site.options.size, spot, (radius, radius), roughness=0.05, softness=0.5)
        _stain(image, patch, field_of_view, site.palette.blood, 0.75 * site.options.lesion_contrast)


def _haemorrhage(image: Array, site: _Site, field_of_view: Array) -> None:
    """A dot or blot, or, in the nerve fibre layer, a flame."""
    centre = site.place(0.95)
    density = site.rng.uniform(0.6, 0.95) * site.options.lesion_contrast
    paint = _blot if site.rng.uniform() < 0.6 else _flame
    paint(image, site, field_of_view, centre, density)


def _blot(image: Array, site: _Site, field_of_view: Array, centre: tuple[float, float], density: float) -> None:
    radius = site.length(0.03, 0.065)
    radii = radius, radius * site.rng.uniform(0.7, 1.0)
    turn = site.rng.uniform(0, np.pi)
    patch = blob(site.rng, site.options.size, centre, radii, turn, roughness=0.2, softness=0.55)
    _stain(image, patch, field_of_view, site.palette.blood, density, smooth_noise(site.rng, site.options.size, 40))


def _flame(image: Array, site: _Site, field_of_view: Array, centre: tuple[float, float], density: float) -> None:
    angle = site.along_fibres(centre)
    across = np.array([-np.sin(angle), np.cos(angle)])
    length, width = site.length(0.06, 0.10), site.length(0.014, 0.02)
    for offset in site.rng.uniform(-1.2, 1.2, int(site.rng.integers(3, 6))):
        shift = across * offset * width + np.array([np.cos(angle), np.sin(angle)]) * site.rng.normal(0, 0.012)
        radii = length * site.rng.uniform(0.5, 1.0), width * 0.7
        start = (centre[0] + float(shift[0]), centre[1] + float(shift[1]))
        patch = blob(site.rng, site.options.size, start, radii, angle, roughness=0.2, softness=0.6)
        _stain(image, patch, field_of_view, site.palette.blood, 0.7 * density)


def _exudates(image: Array, site: _Site, field_of_view: Array) -> None:
    """A cluster of waxy yellow flecks, the larger ones towards its middle."""
    centre = np.asarray(site.place(0.6))
    spread = site.length(0.03, 0.075)
    for _ in range(int(site.rng.integers(5, 15))):
        offset = site.rng.normal(0, 1, 2)
        spot = (float(centre[0] + spread * offset[0]), float(centre[1] + spread * offset[1]))
        radius = site.length(0.011, 0.03) / (1 + 0.35 * float(np.hypot(*offset)))
        radii = radius, radius * site.rng.uniform(0.6, 1.0)
        turn = site.rng.uniform(0, np.pi)
        patch = blob(site.rng, site.options.size, spot, radii, turn, roughness=0.25, softness=0.4)
        if not site.on_disc(spot):
            _cover(image, patch, field_of_view, site.palette.lipid, 0.9 * site.options.lesion_contrast)


def _cotton_wool(image: Array, site: _Site, field_of_view: Array) -> None:
    """A pale, feathery patch in the nerve fibre layer."""
    centre = site.place(0.8)
    radius = site.length(0.04, 0.07)
    turn = site.along_fibres(centre) + np.pi / 2
    patch = blob(site.rng, site.options.size, centre, (radius, 0.65 * radius), turn, 0.2, softness=1.1)
    _cover(image, patch, field_of_view, site.palette.wool, 0.7 * site.options.lesion_contrast)


_PAINTERS: dict[FundusLesion, Callable[[Array, _Site, Array], None]] = {
    FundusLesion.COTTON_WOOL: _cotton_wool,
    FundusLesion.EXUDATE: _exudates,
    FundusLesion.HAEMORRHAGE: _haemorrhage,
    FundusLesion.MICROANEURYSM: _microaneurysms,
}
