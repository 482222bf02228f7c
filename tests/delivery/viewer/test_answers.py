from __future__ import annotations

import base64

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from tests.delivery.viewer.conftest import viewed

from softcam.delivery.viewer.answers import describe_session, read_cells
from softcam.delivery.viewer.limits import Limits
from softcam.errors import DataError
from softcam.reporting.colours import colour


def ranges(cells: np.ndarray) -> str:
    """Each marked cell as a range of its own, which is one of the ways to say it."""
    return ",".join(f"{cell}-{cell}" for cell in np.flatnonzero(cells))


@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_cells_survive_the_way(cells: np.ndarray) -> None:
    assert np.array_equal(read_cells(ranges(cells), cells.shape), cells)


def test_a_range_holds_its_ends_and_goes_row_by_row() -> None:
    assert read_cells("2-4", (2, 3)).tolist() == [[False, False, True], [True, True, False]]


@given(st.text(max_size=12))
def test_whatever_is_sent_is_read_or_refused(text: str) -> None:
    try:
        assert read_cells(text, (4, 4)).shape == (4, 4)
    except DataError as error:
        assert "count them row by row from 0" in str(error)


@pytest.mark.parametrize("text", ["16-16", "3-2", "0-16", "999999999-999999999"])
def test_cells_that_are_not_there_are_named(text: str) -> None:
    with pytest.raises(DataError, match=f"^the cells {text} are not in a map of 4 × 4; count them row by row from 0$"):
        read_cells(text, (4, 4))


def test_the_browser_has_the_colours_of_the_reports() -> None:
    palette = np.frombuffer(base64.b64decode(describe_session([viewed()], (), Limits())["palette"]), np.uint8)
    values = np.linspace(-7, 7, 511)
    assert np.array_equal(palette.reshape(511, 4), colour(values, 7))
