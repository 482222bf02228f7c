from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, strategies as st
from tests.reporting.networks import card

from softcam.errors import ConfigError
from softcam.model.task import Task
from softcam.reporting.selection import ExplainOptions, common_limit, decide


@pytest.mark.parametrize(
    ("options", "classes", "task", "probabilities", "chosen"),
    [
        (ExplainOptions(), ("a", "b"), Task.MULTICLASS, [0.9, 0.1], [1]),
        (ExplainOptions(), ("a", "b"), Task.BINARY, [0.1], [0]),
        (ExplainOptions(), ("a", "b", "c"), Task.MULTICLASS, [0.2, 0.7, 0.1], [1]),
        (ExplainOptions(), ("a", "b"), Task.MULTILABEL, [0.9, 0.1], [0]),
        (ExplainOptions(top=1), ("a", "b"), Task.MULTICLASS, [0.9, 0.1], [0]),
        (ExplainOptions(top=2), ("a", "b", "c"), Task.MULTICLASS, [0.2, 0.1, 0.7], [2, 0]),
        (ExplainOptions(top=9), ("a", "b", "c"), Task.MULTICLASS, [0.2, 0.1, 0.7], [2, 0, 1]),
        (ExplainOptions(classes=("c", "a")), ("a", "b", "c"), Task.MULTICLASS, [0.2, 0.7, 0.1], [2, 0]),
    ],
)
def test_classes_to_show(
    options: ExplainOptions, classes: tuple[str, ...], task: Task, probabilities: list[float], chosen: list[int]
) -> None:
    assert options.select(card(classes, task), probabilities) == chosen


@pytest.mark.parametrize(
    ("task", "classes", "probabilities", "seen"),
    [
        (Task.MULTICLASS, ("a", "b", "c"), [0.2, 0.1, 0.7], ("c",)),
        (Task.BINARY, ("a", "b"), [0.5], ("b",)),
        (Task.BINARY, ("a", "b"), [0.49], ("a",)),
        (Task.MULTILABEL, ("a", "b", "c"), [0.6, 0.2, 0.5], ("a", "c")),
        (Task.MULTILABEL, ("a", "b"), [0.1, 0.2], ()),
    ],
)
def test_what_the_model_sees(
    task: Task, classes: tuple[str, ...], probabilities: list[float], seen: tuple[str, ...]
) -> None:
    assert decide(card(classes, task), probabilities) == seen


def test_an_unknown_class_is_answered_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"class 'moon' is none that the model gives evidence for; choose from a, b$"):
        ExplainOptions(classes=("a", "moon")).check_classes(card(("a", "b")))
    with pytest.raises(ConfigError, match=r"class 'a' is none .*; choose from b$"):
        ExplainOptions(classes=("a",)).check_classes(card(("a", "b"), Task.BINARY))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": ("a",), "top": 2}, "class is a and top is 2; give one of the two"),
        ({"top": 0}, "top is 0; show at least 1 class"),
        ({"batch_size": 0}, "batch_size is 0; it must be at least 1"),
        ({"limit": -2.0}, "limit is -2.0; it must be a number of logits above 0"),
    ],
)
def test_options_out_of_range(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}$"):
        replace(ExplainOptions(), **changes)  # type: ignore[arg-type]


def test_the_common_limit_is_a_quantile_of_the_strongest_evidence_in_each_cell() -> None:
    weak, strong = np.zeros((10, 20)), np.linspace(-40, 40, 200).reshape(10, 20)
    expected = np.quantile(np.abs(np.concatenate([strong, strong])), 0.995)
    limit = common_limit([np.stack([weak, strong]), np.stack([-strong, weak])])
    assert expected <= limit <= expected + 1
    assert limit == 40


def test_evidence_too_weak_to_matter_is_not_painted_strong() -> None:
    assert common_limit([np.full((2, 4, 4), 0.01)]) == 1.0
    assert common_limit([np.zeros((2, 4, 4))]) == 1.0


@given(st.floats(1.0, 1e6))
def test_the_common_limit_has_two_digits_and_is_not_exceeded_by_an_even_map(value: float) -> None:
    limit = common_limit([np.full((1, 3, 3), -value)])
    assert value * (1 - 1e-5) <= limit <= value * 1.1 + 1e-9
    assert float(f"{limit:.2g}") == limit
