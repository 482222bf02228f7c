from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from softcam.metrics.localization import PointingGame

SCRIPT = Path(__file__).with_name("one_of_two_processes.py")


def test_two_processes_give_the_numbers_of_one(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), str(tmp_path / "meeting_point")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    processes = [
        subprocess.Popen([*command, str(rank)], env=environment, stdout=subprocess.PIPE, text=True) for rank in (0, 1)
    ]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    streamed = json.loads(outputs[0].splitlines()[-1])

    alone = runpy.run_path(str(SCRIPT))
    parts = [alone["images_of"](rank) for rank in (0, 1)]
    localities = [alone["locality_of"](part) for part in parts]
    residual, reference = (sum(getattr(one, state) for one in localities) for state in ("residual", "reference"))
    expected = alone["results"](parts) | {"locality": (1 - residual / reference).item()}
    assert streamed.keys() == expected.keys()
    for name, value in expected.items():
        assert streamed[name] == pytest.approx(value), name


def test_reset_clone_and_forward_follow_torchmetrics() -> None:
    maps, masks = torch.randn(4, 6, 6), torch.rand(4, 6, 6) < 0.5
    metric = PointingGame()
    on_batch = metric(maps[:2], masks[:2])
    other = metric.clone()
    other.update(maps[2:], masks[2:])
    assert metric.compute() == on_batch
    metric.reset()
    metric.update(maps, masks)
    torch.testing.assert_close(metric.compute(), other.compute())
