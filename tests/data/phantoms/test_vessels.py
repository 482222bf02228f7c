from __future__ import annotations

import numpy as np
import pytest

from softcam.data.phantoms.vessels import VERTICES, Paths, grow_tree, join, sprout

FOVEA = np.array([0.65, 0.06])


@pytest.mark.parametrize("seed", range(5))
def test_tree_spares_the_fovea_and_starts_at_the_disc(seed: int) -> None:
    tree = grow_tree(np.random.default_rng(seed), FOVEA, calibre=0.02)
    near = np.linalg.norm(tree.points - FOVEA, axis=2) < 0.14
    assert not tree.radii[near].any()
    trunks = tree.points[:6, 0]
    np.testing.assert_allclose(trunks, 0, atol=1e-9)


def test_vessels_never_widen_on_their_way() -> None:
    tree = grow_tree(np.random.default_rng(0), FOVEA, calibre=0.02)
    assert (np.diff(tree.radii, axis=1) <= 1e-12).all()
    assert tree.radii.max() < 0.02 * 1.15 + 1e-9


def test_branches_leave_from_their_parent_and_are_thinner() -> None:
    line = np.stack([np.linspace(0, 1, VERTICES), np.zeros(VERTICES)], axis=1)[None]
    parent = Paths(line, np.full((1, VERTICES), 0.02))
    branches = sprout(np.random.default_rng(0), parent, 5, length=(0.2, 0.3), thinner=(0.4, 0.6))
    assert branches.points.shape == (5, VERTICES, 2)
    np.testing.assert_allclose(branches.points[:, 0, 1], 0, atol=1e-9)
    assert ((branches.radii[:, 0] >= 0.4 * 0.02) & (branches.radii[:, 0] <= 0.6 * 0.02)).all()
    assert (branches.radii[:, -1] == 0).all()
    assert len(join(parent, branches).points) == 6
