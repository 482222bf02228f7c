from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from accelerate import Accelerator

from softcam.data.manifest import Manifest
from softcam.errors import CheckpointError
from softcam.training.config import Monitor, TrainConfig
from softcam.training.history import History
from softcam.training.loop import train
from softcam.training.state import Provenance, RunFolder

MakeConfig = Callable[..., TrainConfig]

ROWS = ({"epoch": 1, "val_auroc": 0.5}, {"epoch": 2, "val_auroc": 0.75}, {"epoch": 3, "val_auroc": 0.75})


def test_the_fingerprint_is_that_of_the_file(make_config: MakeConfig, manifest: Manifest) -> None:
    assert manifest.path is not None
    provenance = Provenance.collect(make_config(), Accelerator())
    assert provenance.manifest_sha256 == hashlib.sha256(manifest.path.read_bytes()).hexdigest()
    assert (provenance.manifest, provenance.processes) == (str(manifest.path), 1)


def test_the_result_is_the_best_epoch(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    History(Monitor.AUROC, ROWS).write(folder.metrics)
    assert folder.result(Monitor.AUROC) == {
        "run": str(tmp_path),
        "model": str(tmp_path / "model"),
        "epochs": 3,
        "best_epoch": 2,
        "metrics": {"auroc": 0.75},
    }


def test_a_new_state_takes_the_place_of_the_old_and_of_broken_ones(tmp_path: Path) -> None:
    folder, accelerator = RunFolder(tmp_path), Accelerator()
    assert folder.last_state is None
    for count in (1, 2):
        (tmp_path / "last" / f".epoch-000{count}.abcd.partial").mkdir(parents=True)
        folder.save_state(accelerator, History(Monitor.AUROC, ROWS[:count]))
        assert [path.name for path in (tmp_path / "last").iterdir()] == [f"epoch-000{count}"]
        assert folder.last_state == tmp_path / "last" / f"epoch-000{count}"
    assert folder.load_state(accelerator, History(Monitor.AUROC)).rows == ROWS[:2]


def test_an_error_while_saving_keeps_the_state_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, accelerator = RunFolder(tmp_path), Accelerator()
    folder.save_state(accelerator, History(Monitor.AUROC, ROWS[:1]))

    def half(self: Accelerator, directory: str) -> None:
        (Path(directory) / "model.safetensors").write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(Accelerator, "save_state", half)
    with pytest.raises(KeyboardInterrupt):
        folder.save_state(accelerator, History(Monitor.AUROC, ROWS[:2]))
    assert [path.name for path in (tmp_path / "last").iterdir()] == ["epoch-0001"]


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("file", ["model.safetensors", "optimizer.bin"])
def test_a_damaged_state_is_named(make_config: MakeConfig, file: str) -> None:
    config = make_config(optim={"epochs": 1})
    state = train(config, progress=False) / "last" / "epoch-0001"
    (state / file).write_bytes(b"damaged")
    with pytest.raises(CheckpointError) as error:
        train(config, resume=True, progress=False)
    assert str(error.value).startswith(f"{state} cannot be loaded (")
    assert str(error.value).endswith("); remove that folder to begin the run again with --resume")
