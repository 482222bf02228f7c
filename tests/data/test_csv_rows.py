from __future__ import annotations

from pathlib import Path

import pytest

from softcam.data.csv_rows import read_rows
from softcam.errors import DataError


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "table.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_cells_stay_text_and_lines_are_those_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, '\ufeffpatient,note\r\n007,"two\nlines"\r\n\r\n08,\r\n')
    assert list(read_rows(path, ["patient"])) == [
        (3, {"patient": "007", "note": "two\nlines"}),
        (5, {"patient": "08", "note": ""}),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n1,2,3\n", "{path}, line 2: more cells than the header has columns; quote cells that contain commas."),
        ("a,b\n1,2\n3\n", "{path}, line 3: fewer cells than the header has columns; quote cells that contain commas."),
        ("a,b\n", "{path} has a header but no rows; add one row per image."),
        ("b,c\n1,2\n", "{path} has no column 'a'; its first line names b, c."),
        ("", "{path} has no column 'a'; its first line names nothing."),
        ("a,b,b\n1,2,3\n", "{path} has two columns 'b'; rename or remove one."),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, content: str, message: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(DataError) as caught:
        list(read_rows(path, ["a"]))
    assert str(caught.value) == message.format(path=path)


@pytest.mark.parametrize("content", [b"a,b\n\xff\xfe,2\n", b'a,b\n"1,2\n', b"\x89PNG\r\n\x1a\n\x00\x00"])
def test_what_is_no_csv_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(DataError, match=r"table\.csv"):
        list(read_rows(write(tmp_path, content), ["a"]))


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.csv does not exist; check the path\.$"):
        list(read_rows(tmp_path / "none.csv"))
    with pytest.raises(DataError, match=r"is a folder; name a CSV file\.$"):
        list(read_rows(tmp_path))


def test_columns_without_a_name_may_repeat(tmp_path: Path) -> None:
    path = write(tmp_path, "Image Index,Bbox [x,y,w,h],,,\n1.png,1,2,3,4,,,\n")
    ((_, row),) = read_rows(path)
    assert (row["Bbox [x"], row["h]"]) == ("1", "4")
