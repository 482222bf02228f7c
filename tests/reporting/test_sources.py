from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from softcam.errors import ConfigError
from softcam.reporting.sources import Source, list_sources, spread_first


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def names(paths: list[Path], out: Path) -> list[str]:
    sources, failures = list_sources(paths, out)
    assert failures == []
    assert [source.index for source in sources] == list(range(len(sources)))
    return [source.name.as_posix() for source in sources]


def test_equal_names_from_different_folders_stay_apart(tmp_path: Path) -> None:
    files = [tmp_path / "left/eye.png", tmp_path / "right/eye.png", tmp_path / "right/Eye.jpg"]
    touch(*files)
    assert names(files, tmp_path / "out") == ["eye", "eye-2", "Eye-3"]


def test_folders_keep_their_inner_order(tmp_path: Path) -> None:
    touch(tmp_path / "in/left/eye.png", tmp_path / "in/right/eye.png", tmp_path / "in/eye.tif")
    assert names([tmp_path / "in"], tmp_path / "out") == ["eye", "left/eye", "right/eye"]


def test_only_the_suffix_of_an_image_is_dropped(tmp_path: Path) -> None:
    files = [tmp_path / "1.2.840.113", tmp_path / "scan.v2.dcm"]
    touch(*files)
    assert names(files, tmp_path / "out") == ["1.2.840.113", "scan.v2"]
    source = Source(0, files[1], Path("in/scan.v2"))
    assert source.result(Path("out"), ".json") == Path("out/in/scan.v2.json")


def test_a_file_given_twice_is_taken_once(tmp_path: Path) -> None:
    touch(tmp_path / "a.png")
    assert names([tmp_path / "a.png", tmp_path, tmp_path / "a.png"], tmp_path / "out") == ["a"]


def test_missing_files_and_empty_folders_are_failures(tmp_path: Path) -> None:
    touch(tmp_path / "a.png")
    (tmp_path / "empty").mkdir()
    sources, failures = list_sources([tmp_path / "gone.png", tmp_path / "a.png", tmp_path / "empty"], tmp_path / "out")
    assert [source.path for source in sources] == [tmp_path / "a.png"]
    assert [failure.path for failure in failures] == [tmp_path / "gone.png", tmp_path / "empty"]
    assert failures[0].reason == f"{tmp_path / 'gone.png'} does not exist; check the path."


@pytest.mark.parametrize("out", [".", "scans", "scans/deep"])
def test_results_never_go_where_the_images_are(tmp_path: Path, out: str) -> None:
    touch(tmp_path / "scans/deep/a.png")
    with pytest.raises(ConfigError, match=r"in which there is the image .*a\.png; choose a folder outside the images"):
        list_sources([tmp_path / "scans"], tmp_path / out)


@given(st.integers(0, 200), st.integers(1, 40))
def test_the_first_images_are_spread_over_all_and_none_is_lost(count: int, first: int) -> None:
    sources = [Source(index, Path(str(index)), Path(str(index))) for index in range(count)]
    ordered = [source.index for source in spread_first(sources, first)]
    assert sorted(ordered) == list(range(count))
    chosen = ordered[: min(first, count)]
    assert chosen == sorted(chosen)
    gaps = [b - a for a, b in zip(chosen, [*chosen[1:], count], strict=False)]
    assert max(gaps, default=0) - min(gaps, default=0) <= 1
    assert chosen[:1] == [0][:count]
