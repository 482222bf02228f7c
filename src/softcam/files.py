"""Writing so that nothing is ever left half-written: to a temporary name, then rename."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def _temporary_name(path: Path) -> Path:
    return path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}.partial{path.suffix}")


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; it takes the name ``path`` when the block succeeds.

    The temporary name keeps the suffix, because many writers choose their format by it. The folder is
    created where it is missing. On an error, Ctrl-C included, the temporary file is removed and an
    existing ``path`` is left as it was.

    Args:
        path: The file to write.

    Yields:
        The path to write to.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary_name(path)
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_directory(path: str | Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``path``; it replaces ``path`` when the block succeeds.

    Args:
        path: The folder to write. An existing one is replaced as a whole.

    Yields:
        The folder to write into.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary, previous = _temporary_name(path), _temporary_name(path)
    temporary.mkdir()
    try:
        yield temporary
        if path.exists():
            path.rename(previous)
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(previous, ignore_errors=True)
