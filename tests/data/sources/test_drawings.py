from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from softcam.data.manifest import Annotations, Box, Point
from softcam.data.sources.drawings import Drawings, Masks
from softcam.errors import DataError

COLUMNS = ("image", ("x", "y", "w", "h"), ("px", "py"), "b.csv")


def row(image: str, *cells: str) -> dict[str, str]:
    return dict(zip(("image", "x", "y", "w", "h", "px", "py"), (image, *cells), strict=True))


def test_rows_hold_a_box_a_point_both_or_none() -> None:
    drawings = Drawings(
        [
            row("a", "1", "2", "3", "4", "", ""),
            row("a", "5", "6", "7", "8.5", "9", "10"),
            row("b", "", "", "", "", "nan", "NaN"),
        ],
        *COLUMNS,
    )
    mask = Path("/m.png")
    assert drawings.of("a", (mask,)) == Annotations((Box(1, 2, 3, 4), Box(5, 6, 7, 8.5)), (Point(9, 10),), (mask,))
    assert not drawings.of("b")
    assert not drawings.of("never listed")


@pytest.mark.parametrize("cells", [("1", "2", "x", "4"), ("1", "2", "", "4"), ("1", "2", "inf", "4")])
def test_half_a_box_is_an_error(cells: tuple[str, ...]) -> None:
    with pytest.raises(DataError) as caught:
        Drawings([row("a", *cells, "", "")], *COLUMNS)
    assert str(caught.value) == f"b.csv: box of a has {', '.join(cells)} for x, y, w, h; write numbers."


def test_a_box_without_area_is_an_error() -> None:
    with pytest.raises(DataError, match=r"^b\.csv: a box of a has no area; width and height must be above 0\.$"):
        Drawings([row("a", "1", "2", "0", "4", "", "")], *COLUMNS)


def test_masks_have_the_names_of_their_images(tmp_path: Path, make_image: Callable[..., Path]) -> None:
    mask = make_image(tmp_path / "soft/1.png")
    masks = Masks([tmp_path / "soft"])
    assert masks.of(Path("/images/1.jpeg")) == (mask,)
    assert masks.of(Path("/images/2.jpeg")) == ()
    masks.check_used([Annotations(), Annotations(masks=(mask,))])
    with pytest.raises(DataError, match=r"^No mask below .*soft has the name of an image"):
        masks.check_used([Annotations()])
    Masks([]).check_used([])
