from __future__ import annotations

import pytest

from softcam.data.sources.labels import class_indices, healthy_first, read_labels
from softcam.errors import ConfigError, DataError


def test_the_healthy_class_comes_first() -> None:
    assert healthy_first({"CNV", "DME", "Normal", "AMD"}) == ("Normal", "AMD", "CNV", "DME")
    assert healthy_first(["PNEUMONIA", "No Finding"]) == ("No Finding", "PNEUMONIA")


def test_wanted_classes_keep_their_order() -> None:
    assert class_indices({"a", "b", "c"}, ("c", "a"), "x") == {"c": 0, "a": 1}


@pytest.mark.parametrize(
    ("cells", "classes", "positive_from", "labels", "names"),
    [
        (["0", "2", "", "2"], None, None, {"0": (0,), "2": (2,)}, ("0", "1", "2")),
        (["0", "1.0"], ("healthy", "DR"), None, {"0": (0,), "1.0": (1,)}, ("healthy", "DR")),
        (["0", "1", "4"], ("healthy", "DR"), 1, {"0": (0,), "1": (1,), "4": (1,)}, ("healthy", "DR")),
        (["1", "2"], None, 2, {"1": (0,), "2": (1,)}, ("below 2", "2 or more")),
        (["DR", "normal"], None, None, {"DR": (1,), "normal": (0,)}, ("normal", "DR")),
        (["DR", "normal", "AMD"], ("normal", "DR"), None, {"DR": (1,), "normal": (0,)}, ("normal", "DR")),
        (["b|a", "a"], None, None, {"b|a": (0, 1), "a": (0,)}, ("a", "b")),
        (["2", "3"], ("3", "2"), None, {"2": (1,), "3": (0,)}, ("3", "2")),
    ],
)
def test_cells_become_class_indices(
    cells: list[str],
    classes: tuple[str, ...] | None,
    positive_from: int | None,
    labels: dict[str, tuple[int, ...]],
    names: tuple[str, ...],
) -> None:
    assert read_labels(cells, classes, positive_from, "t.csv") == (labels, names)


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(DataError, match=r"^t\.csv has no label in any row; check the name of the label column\.$"):
        read_labels(["", " "], None, None, "t.csv")
    with pytest.raises(DataError, match=r"^t\.csv: label 'x' is not a whole number, which --positive_from needs\.$"):
        read_labels(["1", "x"], None, 1, "t.csv")
    with pytest.raises(ConfigError, match=r"^--positive_from makes two classes but 3 are named: a, b, c\.$"):
        read_labels(["1"], ("a", "b", "c"), 1, "t.csv")
    with pytest.raises(DataError, match=r"^t\.csv has no class 'CNV'; it has normal, DR\.$"):
        read_labels(["DR", "normal"], ("normal", "CNV"), None, "t.csv")
