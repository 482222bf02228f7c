"""The shape of the package: fast to import, with dependencies in one direction."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import softcam

SOURCE = Path(softcam.__file__).parent
# each part may import itself and what stands before it
ORDER = [
    "errors",
    "files",
    "losses",
    "model",
    "data",
    "metrics",
    "training",
    "explainers",
    "evaluation",
    "reporting",
    "delivery",
    "demo",
    "cli",
]
INDEPENDENT = {"model": {"data"}, "metrics": {"model", "data", "losses"}, "data": {"losses"}}


def imports_of(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        found |= {name.split(".")[1] for name in names if name.startswith("softcam.")}
    return found


@pytest.mark.parametrize("file", sorted(SOURCE.rglob("*.py")), ids=lambda p: str(p.relative_to(SOURCE)))
def test_data_flows_one_way(file: Path) -> None:
    part = file.relative_to(SOURCE).parts[0].removesuffix(".py")
    if part in ("__init__", "__main__"):
        return
    allowed = set(ORDER[: ORDER.index(part) + 1]) - INDEPENDENT.get(part, set())
    assert imports_of(file) <= allowed


def test_the_package_root_loads_nothing_heavy() -> None:
    code = "import sys, softcam; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_public_name_is_there() -> None:
    for name in softcam.__all__:
        assert getattr(softcam, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        softcam.nothing  # noqa: B018
