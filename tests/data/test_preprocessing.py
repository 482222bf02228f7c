from __future__ import annotations

import doctest
import json
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, strategies as st

from softcam.data import preprocessing as module
from softcam.data.preprocessing import PREPROCESSINGS, Preprocessing
from softcam.errors import ConfigError


def test_the_example_runs() -> None:
    assert doctest.testmod(module) == (0, 3)


@given(height=st.integers(1, 12), width=st.integers(1, 12), channels=st.sampled_from([1, 3]))
def test_calling_gives_the_shape_the_network_takes(height: int, width: int, channels: int) -> None:
    preprocessing = Preprocessing((height, width), channels, (0.5,) * channels, (0.2,) * channels)
    for present in (1, 3):
        assert preprocessing(torch.rand(present, 7, 9)).shape == (channels, height, width)


@given(st.lists(st.floats(0, 1, width=32), min_size=12, max_size=12))
def test_denormalize_undoes_normalize(values: list[float]) -> None:
    pixels = torch.tensor(values).reshape(3, 2, 2)
    inputs = PREPROCESSINGS["fundus"].normalize(pixels)
    torch.testing.assert_close(PREPROCESSINGS["fundus"].denormalize(inputs), pixels)
    torch.testing.assert_close(PREPROCESSINGS["fundus"].denormalize(inputs[None]), pixels[None])


def test_normalising_by_hand() -> None:
    preprocessing = Preprocessing((1, 1), 3, (0.1, 0.2, 0.3), (0.5, 0.25, 2.0))
    inputs = preprocessing(torch.full((1, 1, 1), 0.6))
    torch.testing.assert_close(inputs.flatten(), torch.tensor([1.0, 1.6, 0.15]))


def test_resizing_shrinks_without_aliasing() -> None:
    stripes = torch.tensor([0.0, 1.0]).repeat(32).expand(1, 64, 64)
    resized = Preprocessing((16, 16)).resize(stripes)
    torch.testing.assert_close(resized, torch.full((1, 16, 16), 0.5), atol=0.08, rtol=0)


def test_an_input_is_not_changed_in_place() -> None:
    pixels = torch.rand(3, 224, 224)
    before = pixels.clone()
    PREPROCESSINGS["imagenet"](pixels)
    assert torch.equal(pixels, before)


@pytest.mark.parametrize("name", PREPROCESSINGS)
def test_from_dict_undoes_to_dict_through_json(name: str) -> None:
    values = json.loads(json.dumps(PREPROCESSINGS[name].to_dict()))
    assert Preprocessing.from_dict(values) == PREPROCESSINGS[name]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": (0, 4)}, "size is (0, 4); it must be a height and a width of at least 1 px."),
        ({"channels": 0}, "channels is 0; it must be at least 1."),
        ({"mean": (0.5,)}, "mean has 1 values; give one for each of 3 channels."),
        ({"std": (0.5,) * 4}, "std has 4 values; give one for each of 3 channels."),
        ({"std": (0.5, 0.0, 0.5)}, "std is (0.5, 0.0, 0.5); every deviation must be above 0."),
        ({"mean": (0.5, float("nan"), 0.5)}, "mean is (0.5, nan, 0.5); it must be finite."),
    ],
)
def test_impossible_values_are_errors(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        replace(PREPROCESSINGS["imagenet"], **change)
    assert str(caught.value) == message


def test_from_dict_names_what_is_wrong() -> None:
    values = PREPROCESSINGS["imagenet"].to_dict()
    with pytest.raises(ConfigError, match=r"fields \['channels', 'mean', 'size'\]; it must have exactly"):
        Preprocessing.from_dict({name: value for name, value in values.items() if name != "std"})
    for size in ("large", [224], 224, [224, "x"]):
        with pytest.raises(ConfigError, match=r"size must be \[height, width\]"):
            Preprocessing.from_dict(values | {"size": size})
