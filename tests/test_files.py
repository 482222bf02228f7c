from __future__ import annotations

from pathlib import Path

import pytest

from softcam.files import atomic_directory, atomic_path


def test_a_file_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "out.csv"
    with atomic_path(target) as path:
        path.write_text("a")
        assert not target.exists()
        assert path.suffix == ".csv"
    assert target.read_text() == "a"


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "out.csv"
    target.write_text("old")
    with pytest.raises(error), atomic_path(target) as path:
        path.write_text("half")
        raise error
    assert [p.name for p in tmp_path.iterdir()] == ["out.csv"]
    assert target.read_text() == "old"


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    target = tmp_path / "model"
    for text in ("old", "new"):
        with atomic_directory(target) as folder:
            (folder / text).write_text(text)
    assert [p.name for p in target.iterdir()] == ["new"]
    with pytest.raises(OSError), atomic_directory(target) as folder:
        raise OSError
    assert [p.name for p in tmp_path.iterdir()] == ["model"]
    assert [p.name for p in target.iterdir()] == ["new"]
