from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from tests.evaluation.sweep.conftest import use_tiny_networks, write_split_squares

from softcam.cli import main
from softcam.data.manifest import Manifest


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return write_split_squares(tmp_path_factory.mktemp("squares"))


@pytest.fixture
def base(manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration like those of `softcam train`, with a grid."""
    use_tiny_networks(monkeypatch)
    values = {
        "data": {"manifest": str(manifest.path), "size": 32, "workers": 0},
        "model": {"weights": None},
        "loss": {"mix_warmup_epochs": 0},
        "optim": {"epochs": 1, "batch_size": 4, "lr": 0.02},
        "sweep": {"lambda1": [0.02], "mu": [1.0], "seeds": [0], "resamples": 20},
    }
    path = tmp_path / "base.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def test_a_sweep_is_one_command(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "sweep"
    command = ["sweep", "--config", str(base), "--out", str(out), "--mu", "0,1", "--margin", ".4"]
    assert main([*command, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(each["l1"], each["mix"]) for each in told["validation"]] == [(0, 0), (0.02, 0), (0.02, 1)]
    assert {"sweep.yaml", "choice.json", "runs", "results.csv", "results.json", "results.md", "sweep.png"} == {
        path.name for path in out.iterdir()
    }
    assert Path(told["model"], "model", "card.json").is_file()
    assert main(command) == 0
    said = capsys.readouterr()
    assert "\ntest, read once " in said.out
    assert said.out.count("(dense)") >= 2
    assert "epoch 1/1" not in said.err
    assert main([*command[:-1], ".5"]) == 1
    assert "cannot choose again there; name another folder with --out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--head", "gap"), "model.head is gap, whose evidence no penalty shapes; sweep over the softcam head"),
        (("--lambda1", "0,-1"), "sweep.lambda1 is [0,-1]; give different finite numbers of at least 0"),
        (("--stages", "stage1,stage7"), "convert: no feature map comes from 'stage7'"),
    ],
)
def test_a_mistake_is_one_sentence(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: tuple[str, ...], message: str
) -> None:
    assert main(["sweep", "--config", str(base), "--out", str(tmp_path / "sweep"), *flags]) == 1
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("softcam")]
    assert len(said) == 1
    assert message in said[0]
