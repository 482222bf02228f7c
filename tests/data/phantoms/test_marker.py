from __future__ import annotations

import numpy as np
import pytest

from softcam.data.phantoms import PhantomKind, PhantomOptions, make_phantom
from softcam.data.phantoms.marker import has_marker

kinds = pytest.mark.parametrize("kind", list(PhantomKind))
DRAWS = 4000


@pytest.mark.parametrize(
    ("shortcut", "healthy", "diseased"),
    [(0.0, 0, 0), (1.0, 0, 1), (0.7, 0, 0.7), (-0.3, 0.3, 0), (-1.0, 1, 0)],
)
def test_marker_goes_with_the_label_as_often_as_asked(shortcut: float, healthy: float, diseased: float) -> None:
    rng = np.random.default_rng(0)
    for label, share in ((0, healthy), (1, diseased)):
        found = np.mean([has_marker(shortcut, label, rng) for _ in range(DRAWS)])
        assert found == pytest.approx(share, abs=3 * np.sqrt(share * (1 - share) / DRAWS))


@kinds
@pytest.mark.parametrize("size", [64, 200])
@pytest.mark.parametrize("label", [0, 1])
def test_marker_changes_its_own_pixels_and_nothing_else(kind: PhantomKind, size: int, label: int) -> None:
    plain = make_phantom(PhantomOptions(kind=kind, size=size, noise=0), 0, 0, label=label)
    options = PhantomOptions(kind=kind, size=size, noise=0, shortcut=1.0 if label else -1.0)
    marked = make_phantom(options, 0, 0, label=label)
    changed = np.atleast_3d(marked.pixels != plain.pixels).any(axis=2)
    assert not plain.marker.any()
    assert 10 <= marked.marker.sum() < 0.03 * size**2
    assert not (changed & ~marked.marker).any()
    assert changed.sum() > 0.8 * marked.marker.sum()
    np.testing.assert_array_equal(marked.mask, plain.mask)


@kinds
def test_marker_never_covers_a_lesion(kind: PhantomKind) -> None:
    options = PhantomOptions(kind=kind, size=64, shortcut=1.0)
    for index in range(40):
        phantom = make_phantom(options, 0, index, label=1)
        assert phantom.marker.any()
        assert not (phantom.marker & phantom.mask).any()
