from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from softcam.cli.output import plain, show, table


class Kind(StrEnum):
    A = "a"


@dataclass(frozen=True)
class Result:
    path: Path
    kind: Kind
    values: dict[Any, Any]


RESULT = Result(Path("x/y"), Kind.A, {1: (np.float32(0.5), float("nan")), "t": torch.tensor([1, 2]), "n": None})
PLAIN = {"path": "x/y", "kind": "a", "values": {"1": [0.5, None], "t": [1, 2], "n": None}}


def test_a_result_becomes_what_json_can_hold() -> None:
    assert plain(RESULT) == PLAIN
    assert plain(np.array([[1.0, np.inf]])) == [[1.0, None]]
    assert plain([True, 3]) == [True, 3]


def test_text_for_people_and_json_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    show(RESULT, "all well", as_json=False)
    assert capsys.readouterr().out == "all well\n"
    show(RESULT, "all well", as_json=True)
    assert json.loads(capsys.readouterr().out) == PLAIN


def test_a_table_is_aligned() -> None:
    assert table(("class", "train", "val"), [("healthy", 10, 2), ("DR", 1234567, 3)]) == (
        "class      train  val\nhealthy       10    2\nDR       1234567    3"
    )
