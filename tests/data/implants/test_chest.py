from __future__ import annotations

import numpy as np
import pytest

from softcam.data.implants import ImplantKind, ImplantOptions, make_implant
from softcam.data.phantoms import PhantomKind, PhantomOptions
from softcam.data.phantoms.chest import ChestScene

CHEST = ImplantOptions(ImplantKind.CHEST)


@pytest.mark.parametrize("seed", range(6))
def test_opacities_lie_in_the_lungs_and_brighten_them(seed: int) -> None:
    scene = ChestScene(PhantomOptions(kind=PhantomKind.CHEST, size=160), np.random.default_rng(seed))
    image = scene.healthy.astype(np.float32)
    implant = make_implant(image, CHEST, 0, str(seed))
    assert (implant.pixels >= image).all()
    assert scene.thorax.lungs[implant.mask].mean() > 0.85
    assert 0.005 < implant.mask.mean() < 0.2
    assert set(implant.lesions) <= {"consolidation", "infiltrate"}


def test_ribs_stay_visible_through_an_opacity() -> None:
    scene = ChestScene(PhantomOptions(kind=PhantomKind.CHEST, size=160), np.random.default_rng(1))
    image = scene.healthy.astype(np.float32)
    implant = make_implant(image, CHEST, 0, "a")
    ridges = [np.diff(array[0], axis=0)[implant.mask[1:]] for array in (image, implant.pixels)]
    assert np.corrcoef(*ridges)[0, 1] > 0.6
    assert ridges[1].std() < ridges[0].std()


def test_opacities_scale_with_the_lungs_and_not_with_the_frame() -> None:
    scene = ChestScene(PhantomOptions(kind=PhantomKind.CHEST, size=128), np.random.default_rng(3))
    image = scene.healthy.astype(np.float32)
    framed = np.pad(image, ((0, 0), (0, 0), (24, 24)))
    areas = [np.mean([make_implant(each, CHEST, 0, str(k)).mask.sum() for k in range(8)]) for each in (image, framed)]
    assert 0.6 < areas[0] / areas[1] < 1.7
