from __future__ import annotations

import math

import pytest
import torch
from tests.evaluation.comparison import fakes
from torch import Tensor, nn

from softcam.errors import ConfigError
from softcam.evaluation.comparison.explaining import explain_batch
from softcam.explainers import Explanation

IMAGES = torch.zeros(4, 3, 32, 32)
IMAGES[1, :, 8:16, 0:8] = 1  # the one that fakes.fails_on_one raises on
IMAGES[2, :, 0:8, 20:28] = 1  # and where it gives NaN
REQUESTS = [(0, 0), (1, 0), (1, 1), (2, 1), (3, 1)]


def of_class(images: Tensor, classes: Tensor) -> Explanation:
    return Explanation(classes[:, None, None].expand(len(images), 32, 32).float(), (8, 8), 3.0)


@pytest.mark.parametrize("size", [1, 2, 16])
def test_each_request_has_its_map(size: int) -> None:
    answer = explain_batch(of_class, IMAGES, REQUESTS, size)
    assert {request: float(image_map.mean()) for request, image_map in answer.maps.items()} == {
        (row, output): output for row, output in REQUESTS
    }
    assert answer.errors == {}
    assert (answer.map_size, answer.passes) == ((8, 8), 3.0)
    assert answer.seconds > 0


def test_failures_are_kept_apart() -> None:
    answer = explain_batch(fakes.fails_on_one(nn.Identity()), IMAGES, REQUESTS, 16)
    assert answer.errors == {1: "RuntimeError: a corner", 2: "the map holds NaN or infinity"}
    assert set(answer.maps) == {(0, 0), (3, 1)}
    assert answer.map_size == (32, 32)


def test_an_explainer_may_fail_on_all() -> None:
    answer = explain_batch(fakes.fails_always(nn.Identity()), IMAGES, REQUESTS, 16)
    assert set(answer.errors) == {0, 1, 2, 3}
    assert answer.map_size is None
    assert math.isnan(answer.passes)


def test_what_is_wrong_with_the_explainer_itself_ends_it() -> None:
    def impossible(images: Tensor, classes: Tensor) -> Explanation:
        raise ConfigError("not with this model")

    with pytest.raises(ConfigError, match="not with this model"):
        explain_batch(impossible, IMAGES, REQUESTS, 16)


def test_nothing_asked_nothing_explained() -> None:
    answer = explain_batch(fakes.fails_always(nn.Identity()), IMAGES, [], 16)
    assert (answer.maps, answer.errors) == ({}, {})
