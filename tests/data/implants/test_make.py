from __future__ import annotations

import numpy as np
import pytest
from tests.data.implants.conftest import image_of

from softcam.data.implants import ImplantKind, ImplantOptions, make_implant
from softcam.data.phantoms import LESION_THRESHOLD
from softcam.errors import DataError

CHEST, FUNDUS = (ImplantOptions(kind) for kind in ImplantKind)


@pytest.mark.parametrize("options", [CHEST, FUNDUS], ids=lambda options: options.kind)
def test_the_mask_is_exactly_what_changed(options: ImplantOptions) -> None:
    for index in range(4):
        image = image_of(options.kind, index)
        before = image.copy()
        implant = make_implant(image, options, seed=0, name=str(index))
        np.testing.assert_array_equal(image, before)
        change = np.abs(implant.pixels - image).max(axis=0)
        np.testing.assert_array_equal(implant.mask, change > LESION_THRESHOLD)
        assert implant.mask.any()
        assert implant.pixels.dtype == np.float32
        assert implant.pixels.min() >= 0
        assert implant.pixels.max() <= 1


@pytest.mark.parametrize("options", [CHEST, FUNDUS], ids=lambda options: options.kind)
def test_seed_and_name_say_what_is_put_in(options: ImplantOptions) -> None:
    image = image_of(options.kind)
    first, again, other_seed, other_name = (
        make_implant(image, options, seed, name) for seed, name in ((0, "a"), (0, "a"), (1, "a"), (0, "b"))
    )
    np.testing.assert_array_equal(first.pixels, again.pixels)
    assert first.lesions == again.lesions
    assert (first.mask != other_seed.mask).any()
    assert (first.mask != other_name.mask).any()


@pytest.mark.parametrize("kind", list(ImplantKind))
def test_size_and_contrast_do_what_they_say(kind: ImplantKind) -> None:
    def mean(**scales: float) -> tuple[float, float]:
        """Mean area and mean of the strongest change over some images."""
        images = [image_of(kind, index) for index in range(6)]
        implants = [make_implant(image, ImplantOptions(kind, **scales), 0, str(k)) for k, image in enumerate(images)]
        changes = [np.abs(implant.pixels - image).max() for implant, image in zip(implants, images, strict=True)]
        return float(np.mean([implant.mask.mean() for implant in implants])), float(np.mean(changes))

    assert mean(lesion_size=0.5)[0] < 0.6 * mean(lesion_size=1.5)[0]
    assert mean(contrast=0.5)[1] < 0.8 * mean(contrast=2)[1]


def test_an_image_in_which_no_lesion_would_be_seen_is_refused() -> None:
    with pytest.raises(DataError, match="no lungs are found"):
        make_implant(np.full((1, 64, 64), 0.5, dtype=np.float32), CHEST, 0, "a")
    with pytest.raises(DataError, match="no retina"):
        make_implant(np.zeros((3, 96, 96), dtype=np.float32), FUNDUS, 0, "a")
    with pytest.raises(DataError, match="no retina of 64 to 4096 px is found"):
        make_implant(image_of("fundus")[:, ::4, ::4], FUNDUS, 0, "a")
