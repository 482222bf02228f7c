from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from softcam.data.phantoms import PhantomOptions
from softcam.demo import DEMO, DemoNetwork, DemoRecipe, DemoResult, run_demo
from softcam.errors import ConfigError
from softcam.losses import Convention
from softcam.model.checkpoint import Head, load_checkpoint
from softcam.training import loop
from softcam.training.config import LossConfig, ModelConfig, OptimConfig
from softcam.training.run import Run
from tests.training.conftest import tiny_network

TINY = DemoRecipe(
    phantoms=PhantomOptions(size=64),
    images=40,
    fractions=(0.5, 0.25, 0.25),
    optim=OptimConfig(lr=1e-3, warmup_epochs=0, batch_size=4),
    networks=(
        DemoNetwork("Box", "box", ModelConfig("resnet18", None, Head.GAP), LossConfig(l1=0, mix=0), 1),
        DemoNetwork("Ours", "ours", ModelConfig("resnet18", None, stages=("stage1", "stage2")), LossConfig(), 2),
    ),
)


@pytest.fixture(scope="module", autouse=True)
def tiny() -> Iterator[None]:
    def build(name: str, *, num_classes: int, in_channels: int = 3, pretrained: bool = False) -> nn.Module:
        return tiny_network(num_classes, in_channels)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("softcam.training.network.build_backbone", build)
        patch.setattr("softcam.model.checkpoint.build_backbone", build)
        yield


def demo(out: Path, recipe: DemoRecipe = TINY, seed: int = 0) -> tuple[DemoResult, list[str]]:
    lines: list[str] = []
    return run_demo(out, seed=seed, recipe=recipe, say=lines.append), lines


def written(folder: Path) -> dict[Path, int]:
    """When each file was last written, but for the report, which is made anew."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file() and path.suffix != ".html"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, tiny: None) -> tuple[Path, DemoResult, list[str]]:
    out = tmp_path_factory.mktemp("demo") / "out"
    return out, *demo(out)


def test_from_nothing_to_a_report(whole: tuple[Path, DemoResult, list[str]]) -> None:
    out, result, lines = whole
    assert result.report == out / "report.html"
    page = result.report.read_text(encoding="utf-8")
    for name, evaluation in result.evaluations.items():
        assert name in page
        assert f"{evaluation.metrics['auroc'].estimate:.3f}" in page
        assert len(evaluation.predictions) == 10
    assert [line.partition(":")[0] for line in lines] == ["40 fundus phantoms", "Box", "Ours", "Box", "Ours", "report"]
    assert all(line.endswith(" s") for line in lines)


def test_all_networks_see_the_same_images_in_their_own_way(whole: tuple[Path, DemoResult, list[str]]) -> None:
    out, result, _ = whole
    box, ours = (load_checkpoint(out / "runs" / name).card for name in ("box", "ours"))
    assert (box.head, ours.head) == (Head.GAP, Head.SOFTCAM)
    assert ours.stages == ("stage1", "stage2")
    assert box.training["manifest_sha256"] == ours.training["manifest_sha256"]
    assert box.preprocessing == ours.preprocessing
    assert result.evaluations["Box"].map_size == (8, 8)
    assert result.evaluations["Ours"].map_size == (16, 16)


def test_a_second_call_takes_over_everything(whole: tuple[Path, DemoResult, list[str]]) -> None:
    out, first, _ = whole
    before = written(out)
    second, _ = demo(out)
    assert written(out) == before
    assert json.dumps(second.evaluations["Ours"].to_dict()) == json.dumps(first.evaluations["Ours"].to_dict())


def test_an_interrupted_demo_goes_on_and_ends_the_same(
    whole: tuple[Path, DemoResult, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, validate, calls = tmp_path / "out", loop._read_validation, []

    def interrupted(run: Run, epoch: int) -> tuple[torch.Tensor, torch.Tensor]:
        calls.append(epoch)
        if len(calls) == 3:  # the last epoch of the second network
            raise KeyboardInterrupt
        return validate(run, epoch)

    monkeypatch.setattr(loop, "_read_validation", interrupted)
    with pytest.raises(KeyboardInterrupt):
        demo(out)
    assert not (out / "report.html").exists()
    before = written(out / "data") | written(out / "runs" / "box")
    demo(out)
    assert calls == [0, 0, 1, 1]
    assert {path: time for path, time in written(out).items() if path in before} == before
    for name in ("box", "ours"):
        ours, theirs = (load_checkpoint(folder / "runs" / name).model.state_dict() for folder in (out, whole[0]))
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


def test_a_moved_demo_is_measured_anew(whole: tuple[Path, DemoResult, list[str]], tmp_path: Path) -> None:
    moved = shutil.copytree(whole[0], tmp_path / "moved")
    result, _ = demo(moved)
    assert result.evaluations["Ours"].predictions.images[0].startswith(str(moved))
    assert result.evaluations["Ours"].metrics == whole[1].evaluations["Ours"].metrics


@pytest.mark.parametrize("other", [{"seed": 1}, {"recipe": replace(TINY, images=48)}])
def test_the_folder_of_another_demo_is_left_alone(
    whole: tuple[Path, DemoResult, list[str]], other: dict[str, Any]
) -> None:
    out = whole[0]
    before = written(out)
    message = f"{out} holds a demo of another seed, recipe or version; name another folder, or remove it"
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        demo(out, **other)
    assert written(out) == before


def test_the_recipe_compares_like_with_like() -> None:
    configs = [DEMO.config(network, Path("manifest.csv"), Path("runs"), 3) for network in DEMO.networks]
    assert {config.run.seed for config in configs} == {3}
    assert len({config.run.out for config in configs}) == len(configs) == 3
    assert len({config.data for config in configs}) == 1
    assert len({replace(config.optim, epochs=1) for config in configs}) == 1
    assert [config.model.head for config in configs] == [Head.GAP, Head.SOFTCAM, Head.SOFTCAM]
    assert configs[1].loss.convention is Convention.PAPER
    assert configs[1].loss.mix == 0
    assert configs[2].loss.mix > 0
    assert all(config.model.weights is None for config in configs), "nothing is downloaded"
