from __future__ import annotations

from dataclasses import astuple

import numpy as np
from hypothesis import given, settings, strategies as st

from softcam.data.phantoms import PhantomOptions
from softcam.data.phantoms.oct_lesions import paint_lesions
from softcam.data.phantoms.retina_layers import Boundaries
from softcam.data.phantoms.scene import Measures

SIZE = 96
LAYERS = 13


def ordered(layers: Boundaries) -> bool:
    edges = np.concatenate(astuple(layers))
    assert edges.shape == (LAYERS, SIZE)
    return bool((np.diff(edges, axis=0) >= -1e-5).all())


@given(seed=st.integers(0, 2**32), extreme=st.sampled_from([0.5, 1.0, 2.0]), variation=st.floats(0, 1.5))
@settings(max_examples=60, deadline=None)
def test_layers_keep_their_order_whatever_lesions_do_to_them(seed: int, extreme: float, variation: float) -> None:
    layers, fovea = Boundaries.draw(Measures(np.random.default_rng(seed), variation), SIZE)
    assert ordered(layers)
    seen: list[Boundaries] = []

    def scan(changed: Boundaries) -> np.ndarray:
        seen.append(changed)
        return changed.reflectivity(SIZE)[None]

    options = PhantomOptions(kind="oct", size=SIZE, lesion_size=extreme, lesion_contrast=extreme)
    kinds = [kind for kind, _ in paint_lesions(scan, layers, fovea, options, np.random.default_rng(seed))]
    assert kinds
    assert all(ordered(changed) for changed in seen)


def test_reflectivity_equals_the_sum_of_all_layers() -> None:
    layers, _ = Boundaries.draw(Measures(np.random.default_rng(0), 1.0), SIZE)
    image = layers.reflectivity(SIZE)
    np.testing.assert_allclose(image[0], 0.035, atol=1e-6)
    np.testing.assert_allclose(image[-1], 0.40, atol=1e-5)


def test_drusen_leave_the_inner_retina_and_bruchs_membrane_alone() -> None:
    layers, _ = Boundaries.draw(Measures(np.random.default_rng(0), 1.0), SIZE)
    lift = np.zeros((1, SIZE), dtype=np.float32)
    lift[0, 40:50] = 0.05
    raised = layers.with_drusen(lift)
    np.testing.assert_array_equal(raised.ilm, layers.ilm)
    np.testing.assert_array_equal(raised.bruch, layers.bruch)
    np.testing.assert_allclose(layers.epithelium - raised.epithelium, lift, atol=1e-6)
