from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator

from softcam.data.manifest import Manifest, Sample
from softcam.errors import SoftCAMError
from softcam.model.task import Task
from softcam.training.loaders import TrainingData
from softcam.training.watch import EVERY, LossWatch


@pytest.fixture
def watch() -> LossWatch:
    images = Manifest(tuple(Sample(Path(f"{index}.png"), (0,), str(index)) for index in range(8)), ("a",))
    return LossWatch(Accelerator(), TrainingData(images, images, Task.MULTICLASS), epoch=4)


def terms(loss: float) -> torch.Tensor:
    return torch.tensor([loss, 1.0, 2.0, 3.0])


def test_means_are_of_the_batches_since_the_last_look_and_of_the_epoch(watch: LossWatch) -> None:
    due = [watch.add(terms(float(batch)), torch.tensor([0])) for batch in range(EVERY)]
    assert due == [False] * (EVERY - 1) + [True]
    assert watch.look() == {"loss": (EVERY - 1) / 2, "classification": 1.0, "elastic": 2.0, "mix": 3.0}
    watch.add(terms(100.0), torch.tensor([0]))
    assert watch.look()["loss"] == 100
    assert watch.means()["loss"] == pytest.approx((sum(range(EVERY)) + 100) / (EVERY + 1))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_the_first_batch_that_is_not_finite_is_named_though_it_is_seen_late(watch: LossWatch, value: float) -> None:
    for batch, loss in enumerate((0.5, value, math.nan)):
        watch.add(terms(loss), torch.tensor([2 * batch, 2 * batch + 1]))
    with pytest.raises(SoftCAMError) as error:
        watch.look()
    assert str(error.value) == (
        f"the loss is {value} in epoch 5 at the images 2.png, 3.png; look at these, lower optim.lr, or set "
        "optim.clip_norm (the last finished epoch is kept)"
    )
