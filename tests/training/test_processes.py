"""Training on two processes of this machine, as `torchrun` starts them."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from softcam.cli import main
from softcam.data.manifest import Manifest

ROOT = Path(__file__).resolve().parents[2]

# the command line with a network that has no batch statistics, and Ctrl-C at the batch that INTERRUPT_AT names
SCRIPT = """
import os, sys
from softcam.cli import main
from softcam.training import network, objective
from tests.training.conftest import tiny_network

network.build_backbone = lambda name, *, num_classes, in_channels, pretrained: tiny_network(num_classes, in_channels)
original, calls = objective.Objective.__call__, iter(range(10**6))

def call(self, *args, **keywords):
    if next(calls) == int(os.environ["INTERRUPT_AT"]):
        raise KeyboardInterrupt
    return original(self, *args, **keywords)

objective.Objective.__call__ = call
sys.exit(main(sys.argv[1:]))
"""


def torchrun(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *arguments],
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def flags(manifest: Manifest, out: Path, batch_size: int) -> list[str]:
    return [
        *("train", "--manifest", str(manifest.path), "--size", "32", "--augmentation", "fundus", "--workers", "0"),
        *("--weights", "null", "--l1", "0.1", "--l2", "0.1", "--mix", "0", "--class-weights"),
        *("--optimizer", "sgd", "--lr", "0.1", "--epochs", "3", "--batch-size", str(batch_size), "--out", str(out)),
    ]


def rows(run: Path) -> list[dict[str, float]]:
    with (run / "metrics.csv").open(newline="") as stream:
        return [
            {name: float(value) for name, value in row.items() if name not in ("seconds", "images_per_second")}
            for row in csv.DictReader(stream)
        ]


@pytest.mark.usefixtures("tiny")
def test_two_processes_interrupted_and_resumed_end_like_one_with_twice_the_batch(
    manifest: Manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    one, two = tmp_path / "one", tmp_path / "two"
    assert main(flags(manifest, one, batch_size=8)) == 0
    capsys.readouterr()

    interrupted = torchrun(str(script), *flags(manifest, two, batch_size=4), INTERRUPT_AT="3")
    assert interrupted.returncode != 0
    assert interrupted.stderr.count("interrupted; ") == 1
    assert sorted(path.name for path in (two / "last" / "epoch-0001").glob("random_states*")) == [
        "random_states_0.pkl",
        "random_states_1.pkl",
    ]
    resumed = torchrun(str(script), *flags(manifest, two, batch_size=4), "--resume", INTERRUPT_AT="-1")
    assert resumed.returncode == 0, resumed.stderr

    for ours, theirs in zip(rows(two), rows(one), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-5)
    ours, theirs = (load_file(run / "last" / "epoch-0003" / "model.safetensors") for run in (two, one))
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, rtol=1e-4, atol=1e-5)

    assert main([*flags(manifest, two, batch_size=4), "--resume"]) == 1
    assert capsys.readouterr().err == (
        f"softcam: error: {two} was started on 2 processes, this is 1; resume on as many, so that each step sees as "
        "many images\n"
    )


def test_the_command_line_runs_on_two_processes(manifest: Manifest, tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = torchrun(
        *("-m", "softcam", "train", "--manifest", str(manifest.path), "--size", "64", "--weights", "null"),
        *("--epochs", "2", "--batch-size", "4", "--workers", "1", "--mix-warmup-epochs", "0"),
        *("--out", str(out), "--json"),
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)  # one process speaks
    assert (result["run"], result["epochs"]) == (str(out), 2)
    assert json.loads((out / "provenance.json").read_text())["processes"] == 2
    assert [row["step"] for row in rows(out)] == [2, 4]
    assert all(row["train_mix"] > 0 for row in rows(out))
    assert done.stderr.count("epoch 1/2") == 1
