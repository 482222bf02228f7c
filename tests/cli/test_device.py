from __future__ import annotations

import pytest
import torch

import softcam
from softcam.cli.device import choose_device


def test_a_gpu_is_taken_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for available, expected in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda available=available: available)
        assert choose_device(None).type == expected


def test_a_device_that_is_not_here_is_an_error() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    with pytest.raises(softcam.ConfigError, match="--device is cpux, which this machine does not have"):
        choose_device("cpux")
