from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray

from softcam.data.phantoms import LESION_THRESHOLD, Phantom, PhantomKind, PhantomOptions, label_of, make_phantom
from softcam.errors import ConfigError

kinds = pytest.mark.parametrize("kind", list(PhantomKind))
any_kind = st.sampled_from(list(PhantomKind))
any_index = st.integers(0, 10**6)
any_seed = st.integers(0, 2**40)
ROUNDING = 1  # of each image to 8 bits, half a level twice


def pair(options: PhantomOptions, seed: int, index: int) -> tuple[Phantom, Phantom]:
    return make_phantom(options, seed, index, label=0), make_phantom(options, seed, index, label=1)


def change(healthy: Phantom, diseased: Phantom) -> NDArray[np.int16]:
    difference = np.abs(diseased.pixels.astype(np.int16) - healthy.pixels)
    return difference.max(axis=2) if difference.ndim == 3 else difference


@given(kind=any_kind, size=st.integers(64, 180), seed=any_seed, index=any_index, label=st.sampled_from([0, 1]))
@settings(max_examples=40, deadline=None)
def test_any_size_gives_an_image_and_a_mask_that_agrees_with_the_label(
    kind: PhantomKind, size: int, seed: int, index: int, label: int
) -> None:
    phantom = make_phantom(PhantomOptions(kind=kind, size=size), seed, index, label=label)
    assert phantom.pixels.shape == ((size, size, 3) if kind is PhantomKind.FUNDUS else (size, size))
    assert phantom.pixels.dtype == np.uint8
    assert phantom.mask.shape == phantom.marker.shape == (size, size)
    assert phantom.mask.dtype == bool
    assert phantom.mask.any() == bool(label)
    assert phantom.label == label
    assert phantom.pixels.std() > 10


@given(kind=any_kind, seed=any_seed, extreme=st.sampled_from([0.5, 2.0]))
@settings(max_examples=30, deadline=None)
def test_faintest_and_smallest_lesions_still_leave_a_mask(kind: PhantomKind, seed: int, extreme: float) -> None:
    options = PhantomOptions(kind=kind, size=64, lesion_size=0.5, lesion_contrast=extreme)
    assert make_phantom(options, seed, 0, label=1).mask.any()


@kinds
def test_same_names_give_the_same_bytes_and_others_another_patient(kind: PhantomKind) -> None:
    options = PhantomOptions(kind=kind, size=96)
    first, again = make_phantom(options, 5, 3, label=1), make_phantom(options, 5, 3, label=1)
    np.testing.assert_array_equal(first.pixels, again.pixels)
    np.testing.assert_array_equal(first.mask, again.mask)
    for seed, index in ((5, 4), (6, 3), (3, 5)):
        other = make_phantom(options, seed, index, label=1)
        assert np.mean(other.pixels != first.pixels) > 0.3


@given(kind=any_kind, seed=any_seed, index=any_index, size=st.integers(64, 128))
@settings(max_examples=25, deadline=None)
def test_health_and_disease_are_the_same_patient_outside_the_mask(
    kind: PhantomKind, seed: int, index: int, size: int
) -> None:
    healthy, diseased = pair(PhantomOptions(kind=kind, size=size, noise=0), seed, index)
    outside = change(healthy, diseased)[~diseased.mask]
    assert outside.max() <= LESION_THRESHOLD * 255 + ROUNDING


@given(kind=any_kind, seed=any_seed, index=any_index, size=st.integers(64, 128))
@settings(max_examples=25, deadline=None)
def test_every_pixel_of_the_mask_is_changed_by_a_lesion(kind: PhantomKind, seed: int, index: int, size: int) -> None:
    healthy, diseased = pair(PhantomOptions(kind=kind, size=size, noise=0), seed, index)
    inside = change(healthy, diseased)[diseased.mask]
    assert inside.min() >= LESION_THRESHOLD * 255 - ROUNDING


@kinds
def test_noise_does_not_tell_the_label(kind: PhantomKind) -> None:
    options = PhantomOptions(kind=kind, size=96, noise=2)
    healthy, diseased = pair(options, 0, 0)
    assert change(healthy, diseased)[~diseased.mask].max() <= 4 * LESION_THRESHOLD * 255
    np.testing.assert_array_equal(diseased.mask, pair(PhantomOptions(kind=kind, size=96, noise=0), 0, 0)[1].mask)


@kinds
def test_kinds_of_lesion_divide_the_mask(kind: PhantomKind) -> None:
    names: set[str] = set()
    for index in range(12):
        phantom = make_phantom(PhantomOptions(kind=kind, size=96), 1, index, label=1)
        np.testing.assert_array_equal(np.sum(list(phantom.lesions.values()), axis=0), phantom.mask.astype(int))
        names |= {str(name) for name in phantom.lesions}
    assert (
        names
        == {
            PhantomKind.FUNDUS: {"cotton_wool", "exudate", "haemorrhage", "microaneurysm"},
            PhantomKind.CHEST: {"consolidation", "infiltrate"},
            PhantomKind.OCT: {"drusen", "subretinal_fluid", "cyst"},
        }[kind]
    )


@kinds
def test_healthy_images_have_no_lesion(kind: PhantomKind) -> None:
    phantom = make_phantom(PhantomOptions(kind=kind, size=64), 0, 0, label=0)
    assert not phantom.mask.any()
    assert phantom.lesions == {}


@given(prevalence=st.floats(0, 1), seed=any_seed, start=any_index, count=st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_any_run_of_indices_holds_the_prevalence(prevalence: float, seed: int, start: int, count: int) -> None:
    options = PhantomOptions(prevalence=prevalence)
    diseased = sum(label_of(options, seed, index) for index in range(start, start + count))
    assert math.floor(count * prevalence - 1e-6) <= diseased <= math.ceil(count * prevalence + 1e-6)


@pytest.mark.parametrize("label", [0, 1])
def test_prevalence_of_none_and_all(label: int) -> None:
    options = PhantomOptions(prevalence=float(label), size=64)
    assert {label_of(options, 9, index) for index in range(200)} == {label}
    assert make_phantom(options, 9, 0).label == label


@pytest.mark.parametrize(
    ("kind", "low", "high"),
    [(PhantomKind.FUNDUS, 0.007, 0.014), (PhantomKind.CHEST, 0.05, 0.10), (PhantomKind.OCT, 0.02, 0.05)],
)
def test_lesions_cover_the_documented_share(kind: PhantomKind, low: float, high: float) -> None:
    options = PhantomOptions(kind=kind, size=96)
    shares = [make_phantom(options, 2, index, label=1).mask.mean() for index in range(40)]
    assert low < np.mean(shares) < high


@kinds
def test_larger_lesions_cover_more(kind: PhantomKind) -> None:
    shares = [
        np.mean([make_phantom(options, 3, index, label=1).mask.mean() for index in range(10)])
        for options in (PhantomOptions(kind=kind, size=96, lesion_size=scale) for scale in (0.5, 1.0, 2.0))
    ]
    assert 1.3 * shares[0] < shares[1] < shares[2] / 1.3


@kinds
def test_stronger_lesions_change_more(kind: PhantomKind) -> None:
    changes = [
        np.mean([change(*pair(options, 4, index)).mean() for index in range(8)])
        for options in (PhantomOptions(kind=kind, size=96, lesion_contrast=c, noise=0) for c in (0.5, 1.0, 2.0))
    ]
    assert 1.1 * changes[0] < changes[1] < changes[2] / 1.1


@kinds
def test_one_patient_at_two_sizes(kind: PhantomKind) -> None:
    small, large = (make_phantom(PhantomOptions(kind=kind, size=size, noise=0), 0, 7, label=1) for size in (96, 288))
    shrunk = large.pixels.reshape(96, 3, 96, 3, -1).mean(axis=(1, 3)).reshape(small.pixels.shape)
    assert np.corrcoef(shrunk.ravel(), small.pixels.ravel())[0, 1] > 0.97
    assert small.mask.mean() == pytest.approx(large.mask.mean(), rel=0.5)


@kinds
def test_noise_grows_with_its_option_alone(kind: PhantomKind) -> None:
    clean, usual, strong = (
        make_phantom(PhantomOptions(kind=kind, size=96, noise=noise), 0, 0, label=0).pixels.astype(float)
        for noise in (0, 1, 4)
    )
    assert 0.5 < np.abs(usual - clean).mean() < 0.5 * np.abs(strong - clean).mean()


@kinds
def test_patients_differ_less_with_less_variation(kind: PhantomKind) -> None:
    spreads = [
        np.std([make_phantom(options, 0, index, label=0).pixels.mean() for index in range(16)])
        for options in (PhantomOptions(kind=kind, size=64, variation=v, noise=0) for v in (0.0, 1.0))
    ]
    assert spreads[0] < 0.5 * spreads[1]


@pytest.mark.parametrize(
    ("seed", "index", "label", "message"),
    [
        (-1, 0, None, "phantom seed is -1; give 0 or more."),
        (0, -2, None, "phantom index is -2; give 0 or more."),
        (0, 0, 2, "phantom label is 2; give 0 (healthy), 1 (diseased) or None."),
    ],
)
def test_names_that_cannot_be(seed: int, index: int, label: int | None, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        make_phantom(PhantomOptions(size=64), seed, index, label=label)
    assert str(error.value) == message
