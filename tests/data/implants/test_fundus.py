from __future__ import annotations

import numpy as np
import pytest
from tests.data.implants.conftest import image_of

from softcam.data.implants import ImplantKind, ImplantOptions, make_implant
from softcam.data.phantoms import PhantomKind, PhantomOptions
from softcam.data.phantoms.fundus import FundusScene

FUNDUS = ImplantOptions(ImplantKind.FUNDUS)


@pytest.mark.parametrize("seed", range(6))
def test_lesions_lie_on_the_retina_and_off_the_disc(seed: int) -> None:
    scene = FundusScene(PhantomOptions(kind=PhantomKind.FUNDUS, size=160), np.random.default_rng(seed))
    image = scene.healthy.astype(np.float32)
    implant = make_implant(image, FUNDUS, 0, str(seed))
    assert (scene.field_of_view[implant.mask] > 0.5).all()
    assert set(implant.lesions) <= {"exudate", "haemorrhage", "microaneurysm"}
    axis = (np.arange(160) + 0.5) / 80 - 1
    on_disc = np.hypot(axis[None] - scene.eye.disc[0], axis[:, None] - scene.eye.disc[1]) < scene.eye.disc_radius
    assert implant.mask[on_disc].mean() < 0.05


def test_blood_takes_its_colour_from_the_photograph() -> None:
    """In a photograph without red light, blood must not redden."""
    image = image_of("fundus")
    image[0] = 0.9 * image[1]
    for index in range(8):
        implant = make_implant(image, FUNDUS, 0, str(index))
        if implant.lesions == ("haemorrhage",) or implant.lesions == ("haemorrhage", "microaneurysm"):
            darker = implant.mask & (implant.pixels[1] < image[1])
            assert (implant.pixels[:, darker] < image[:, darker]).all()
            return
    raise AssertionError("no image of bleeding alone among eight")


def test_a_wide_photograph_is_changed_on_its_retina_alone() -> None:
    image = np.pad(image_of("fundus"), ((0, 0), (0, 0), (30, 50)))
    implant = make_implant(image, FUNDUS, 0, "a")
    np.testing.assert_array_equal(implant.pixels[:, :, :28], image[:, :, :28])
    np.testing.assert_array_equal(implant.pixels[:, :, -48:], image[:, :, -48:])
    assert implant.mask.any()


def test_a_photograph_that_cuts_the_retina_off_is_put_together_again() -> None:
    image = np.ascontiguousarray(image_of("fundus", size=160)[:, 25:130])
    implant = make_implant(image, FUNDUS, 0, "a")
    assert implant.pixels.shape == image.shape
    untouched = np.abs(implant.pixels - image).max(axis=0) == 0
    assert untouched.mean() > 0.7
