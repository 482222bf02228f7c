from __future__ import annotations

import sys

import pytest
import torch

import softcam
from softcam.explainers import METHODS, build_explainer
from tests.explainers.networks import NETWORKS, batch


@pytest.mark.parametrize("method", ["integrated-gradients", "occlusion"])
def test_without_captum_the_extra_is_named(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(softcam.ConfigError) as error:
        build_explainer(method, NETWORKS["black box"]())
    assert str(error.value) == f"{method} needs captum: pip install 'softcam[compare]'"


@pytest.mark.parametrize("method", [m for m in METHODS if not m.startswith(("integrated", "occlusion"))])
def test_the_others_need_no_extra(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "captum", None)
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    monkeypatch.setitem(sys.modules, "pytorch_grad_cam", None)
    explainer = build_explainer(method, NETWORKS["black box"](), example=batch(1))
    assert explainer(batch(1), torch.tensor([0])).maps.shape == (1, 16, 16)
