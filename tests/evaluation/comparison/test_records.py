from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from softcam.errors import ConfigError, DataError
from softcam.evaluation.comparison.records import Record, RecordFile

SUBJECT = {"model": "a", "seed": 0}
FULL = Record(
    "gradcam",
    3,
    (4, 5),
    2.0,
    0.25,
    {"pointing_game": 1.0},
    {"pointing_game": 0.125},
    {"pointing_game": 0.5},
    {"deletion": (1.0, 0.5)},
)
numbers = st.dictionaries(st.text(max_size=5), st.floats(0, 1, width=32), max_size=3)


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    failed = Record("rise", 0, error="out of memory")
    RecordFile(tmp_path / "deep" / "a.jsonl", SUBJECT).append([FULL, failed])
    records = RecordFile(tmp_path / "deep" / "a.jsonl", SUBJECT).records
    assert records["gradcam", 3] == FULL
    assert records["rise", 0].error == "out of memory"
    assert math.isnan(records["rise", 0].passes)


@given(numbers, st.text(max_size=20))
def test_a_record_is_one_line_and_keeps_float32(values: dict[str, float], error: str) -> None:
    line = Record("a", 0, values=values, error=error).to_json()
    assert "\n" not in line
    again = Record.from_json(line)
    assert again.error == error
    assert again.values == pytest.approx(values, rel=1e-7)


def test_numbers_that_are_not_defined_are_left_out() -> None:
    assert (
        Record("a", 0, values={"x": math.nan, "y": 0.0}).to_json()
        == '{"explainer": "a", "image": 0, "values": {"y": 0.0}}'
    )


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_half_a_line_at_the_end_is_cut_off(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "a.jsonl"
    RecordFile(path, SUBJECT).append([FULL, Record("softcam", 1)])
    whole = path.read_bytes()
    last = len(whole.splitlines(keepends=True)[-1])
    path.write_bytes(whole[: len(whole) - min(cut, last - 1)])
    file = RecordFile(path, SUBJECT)
    assert set(file.records) == {("gradcam", 3)}
    file.append([Record("softcam", 1)])
    assert path.read_bytes() == whole


def test_a_header_torn_off_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"model": "a"')
    RecordFile(path, SUBJECT)
    assert path.read_text() == '{"model": "a", "seed": 0}\n'


def test_records_of_something_else_are_not_mixed_in(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    RecordFile(path, SUBJECT)
    with pytest.raises(ConfigError) as caught:
        RecordFile(path, {"model": "b", "seed": 0, "protocol": "paper"})
    assert str(caught.value) == (
        f"{path} was made with another model, protocol; choose another --out, or delete the file to start anew"
    )


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    RecordFile(path, SUBJECT)
    path.write_text(path.read_text() + "no record\n")
    with pytest.raises(DataError, match=r"a\.jsonl, line 2, is no record \(.*\); delete that line"):
        RecordFile(path, SUBJECT)
    path.write_text("nothing\n")
    with pytest.raises(DataError, match="holds no records of a comparison; choose another --out"):
        RecordFile(path, SUBJECT)
