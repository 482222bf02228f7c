from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from tests.delivery.viewer.conftest import encoded, picture

from softcam.data.images import read_image
from softcam.data.preprocessing import Preprocessing
from softcam.delivery.viewer.preparing import LONGEST_SIDE, Prepared, prepare
from softcam.errors import DataError

PREPROCESSINGS = (Preprocessing((16, 16)), Preprocessing((8, 12), 1, (0.5,), (0.25,)))


def test_networks_see_what_they_see_of_a_file(tmp_path: object) -> None:
    data = encoded(picture(size=(20, 30)))
    path = tmp_path / "a.png"  # type: ignore[operator]
    path.write_bytes(data)
    prepared = prepare(data, PREPROCESSINGS, 10_000)
    for preprocessing, inputs in zip(PREPROCESSINGS, prepared.inputs, strict=True):
        assert torch.equal(inputs, preprocessing(read_image(path).pixels))


def test_people_see_the_pixels_of_the_file() -> None:
    pixels = picture(size=(20, 30))
    prepared = prepare(encoded(pixels), (), 10_000)
    assert np.array_equal(prepared.view, pixels)
    assert prepared.facts.sha256 == hashlib.sha256(encoded(pixels)).hexdigest()
    assert (prepared.facts.height, prepared.facts.width, prepared.facts.bit_depth) == (20, 30, 8)


def test_deep_images_keep_their_depth() -> None:
    pixels = np.arange(12 * 16, dtype=np.uint16).reshape(12, 16) * 341
    prepared = prepare(encoded(pixels), (), 10_000)
    assert prepared.view.dtype == np.uint16
    assert np.array_equal(prepared.view[..., 0], pixels)


@settings(max_examples=15, deadline=None)
@given(height=st.integers(1, 40), width=st.integers(LONGEST_SIDE, 3 * LONGEST_SIDE), turned=st.booleans())
def test_large_images_are_shown_reduced_in_their_own_shape(height: int, width: int, turned: bool) -> None:
    size = (width, height) if turned else (height, width)
    prepared = prepare(encoded(np.full(size, 90, np.uint8)), (), 10**6)
    assert max(prepared.view.shape[:2]) == LONGEST_SIDE
    assert min(prepared.view.shape[:2]) == max(1, round(height * LONGEST_SIDE / width))
    assert np.array_equal(np.unique(prepared.view), [90])


def test_a_prepared_image_survives_the_way_between_processes() -> None:
    prepared = prepare(encoded(picture()), PREPROCESSINGS, 10_000)
    back = Prepared.from_bytes(prepared.to_bytes())
    assert back.facts == prepared.facts
    assert np.array_equal(back.view, prepared.view)
    assert all(torch.equal(*pair) for pair in zip(back.inputs, prepared.inputs, strict=True))


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "the image is empty; copy or export it again."),
        (
            b"MZ" + bytes(500),
            "the image is no image that softcam reads (PNG, JPEG, TIFF, BMP, WEBP, GIF, PPM, DICOM); ",
        ),
        (encoded(picture())[:400], "the image is damaged or cut short; copy or export it again."),
        (encoded(np.zeros((101, 100), np.uint8)), "the image has more pixels than can be safe; reduce it to read it."),
        (bytes(128) + b"DICM" + bytes(64), "the image "),
    ],
)
def test_what_cannot_be_read_is_said_in_a_sentence_without_a_name(data: bytes, sentence: str) -> None:
    with pytest.raises(DataError) as caught:
        prepare(data, PREPROCESSINGS, 10_000)
    assert str(caught.value).startswith(sentence)
