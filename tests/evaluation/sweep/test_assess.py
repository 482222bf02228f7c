from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from softcam.data.dataset import ManifestDataset
from softcam.data.manifest import Manifest, Split
from softcam.data.transforms import test_transform as plain_transform
from softcam.errors import CheckpointError
from softcam.evaluation.evaluate import evaluate
from softcam.evaluation.sweep.assess import SPARSITY, Assessor
from softcam.metrics.sparsity import hoyer_sparsity
from softcam.model.checkpoint import Head, load_checkpoint
from softcam.model.evidence import SoftCAM
from softcam.model.task import Task
from softcam.training.config import TrainConfig
from softcam.training.loop import train

pytestmark = pytest.mark.usefixtures("tiny")

MakeBase = Callable[..., TrainConfig]


def test_it_is_the_evaluation_with_the_sparsity_of_each_image(make_base: MakeBase, split_squares: Manifest) -> None:
    base = make_base()
    run = train(base, progress=False)
    found = Assessor(split_squares, batch_size=4, resamples=20, progress=False)(run, Split.VAL)
    plain = evaluate(load_checkpoint(run), split_squares, split=Split.VAL, batch_size=4, resamples=20, progress=False)
    assert found.metrics == plain.metrics
    assert found.localization == plain.localization
    images = ManifestDataset(split_squares.select(Split.VAL), plain_transform(base.data.preprocessing), Task.MULTICLASS)
    model = load_checkpoint(run).model
    assert isinstance(model, SoftCAM)
    contrast = model.explain(torch.stack([item["image"] for item in images])).contrast()
    np.testing.assert_allclose(found.predictions.scores[SPARSITY], hoyer_sparsity(contrast)[:, 1], rtol=1e-4)


def test_what_was_measured_is_not_measured_again(
    make_base: MakeBase, split_squares: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = train(make_base(), progress=False)
    assess = Assessor(split_squares, resamples=20, progress=False)
    first = assess(run, Split.VAL)
    monkeypatch.setattr("softcam.evaluation.sweep.assess.evaluate", None)
    again = assess(run, Split.VAL)
    assert again.to_dict() == first.to_dict()
    assert not (run / "evaluation" / "test").exists()


def test_a_black_box_has_no_sparsity(make_base: MakeBase, split_squares: Manifest) -> None:
    run = train(make_base(model={"head": Head.GAP}), progress=False)
    with pytest.raises(CheckpointError, match=r"^this resnet18 has no evidence whose sparsity could be measured$"):
        Assessor(split_squares, resamples=20, progress=False)(run, Split.VAL)
