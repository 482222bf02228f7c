from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from tests.evaluation.audit.conftest import write_set
from tests.evaluation.conftest import checkpoint, square_reader
from torch import nn

from softcam.cli import main
from softcam.model.checkpoint import save_checkpoint


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    def build(name: str, *, num_classes: int, in_channels: int = 3, pretrained: bool = False) -> nn.Module:
        return square_reader((0.0,) * num_classes, (0.0,) * num_classes)

    monkeypatch.setattr("softcam.model.checkpoint.build_backbone", build)
    manifest = write_set(tmp_path / "set", trap=True, count=60)
    given = checkpoint(square_reader())
    save_checkpoint(given.model, given.card, tmp_path / "run" / "model")
    config = {"data": {"manifest": str(manifest.path)}}
    (tmp_path / "run" / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return tmp_path / "run"


def test_it_prints_the_verdict_and_writes_the_page(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "audit"
    assert main(["audit", str(run), "--out", str(out), "--resamples", "100", "--roi", "none"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("30 images examined, labels of 30\nAlarm: 4 things that no finding explains.\n  ! ")
    assert "The model looks at the upper right corner" in printed
    assert printed.endswith(f"written: {out}/audit.html\n")
    assert {path.name for path in out.iterdir()} == {"audit.html", "audit.json", "images.csv", "figures"}


def test_json_for_machines(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "audit"
    assert main(["audit", str(run), "--out", str(out), "--resamples", "50", "--roi", "none", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["alarm"] is True
    assert facts["written"] == str(out)


def test_a_number_out_of_range_is_a_sentence(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", str(run), "--resamples", "0"]) == 1
    assert capsys.readouterr().err == "softcam: error: --resamples is 0; it must be at least 1\n"
