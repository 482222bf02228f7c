from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, strategies as st

from softcam.errors import ConfigError
from softcam.training.schedule import WarmupCosine, linear_rampup


def test_without_warmup_it_is_torchs_cosine() -> None:
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1e-3)
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=50, eta_min=1e-4)
    schedule = WarmupCosine(peak=1e-3, floor=1e-4, warmup=0, total=50)
    for step in range(50):
        assert schedule(step) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)
        optimizer.step()
        reference.step()


def test_closed_form_at_the_corners() -> None:
    schedule = WarmupCosine(peak=2.0, floor=0.5, warmup=4, total=12)
    assert [schedule(step) for step in range(4)] == [0.5, 1.0, 1.5, 2.0]
    assert schedule(4) == 2.0
    assert schedule(8) == pytest.approx((2.0 + 0.5) / 2)
    assert schedule(11) == pytest.approx(0.5 + 1.5 * (1 + math.cos(math.pi * 7 / 8)) / 2)
    assert schedule(12) == pytest.approx(0.5)


@given(st.integers(1, 200), st.floats(0, 1), st.floats(0, 1))
def test_rises_then_falls_and_stays_between_floor_and_peak(total: int, warmup: float, floor: float) -> None:
    schedule = WarmupCosine(peak=1.0, floor=floor, warmup=round(warmup * total), total=total)
    values = [schedule(step) for step in range(total)]
    rising, falling = values[: schedule.warmup], values[schedule.warmup :]
    assert rising == sorted(rising)
    assert falling == sorted(falling, reverse=True)
    assert all(floor <= value <= 1 + 1e-12 for value in falling)


def test_a_warmup_longer_than_the_run_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^a warm-up of 5 steps does not fit a run of 4; shorten it$"):
        WarmupCosine(peak=1.0, floor=0.0, warmup=5, total=4)


@given(st.integers(0, 100), st.integers(0, 50))
def test_rampup_is_linear_up_to_one(step: int, steps: int) -> None:
    assert linear_rampup(step, steps) == (min(1.0, step / steps) if steps else 1.0)
