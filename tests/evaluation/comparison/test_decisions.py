from __future__ import annotations

import pytest
import torch
from torch import Tensor

from softcam.evaluation.comparison.decisions import Decisions, Protocol, finding_outputs
from softcam.evaluation.explanations import label_maps
from softcam.metrics.removal import Tracked
from softcam.model.task import Task

DEFAULT, PAPER = Protocol


def test_the_output_to_explain() -> None:
    assert Decisions.of(torch.tensor([[2.0, 0.0, 3.0]]), Task.MULTICLASS).outputs.tolist() == [2]
    several = Decisions.of(torch.tensor([[-3.0, -1.0]]), Task.MULTILABEL)
    assert (several.outputs.tolist(), several.against.tolist()) == ([1], [False])


def test_with_one_output_a_decision_may_be_against_it() -> None:
    decisions = Decisions.of(torch.tensor([[1.0], [-1.0]]), Task.BINARY)
    assert decisions.outputs.tolist() == [0, 0]
    maps = torch.ones(2, 3, 3)
    assert decisions.signed(maps)[:, 0, 0].tolist() == [1, -1]
    assert decisions.subset(torch.tensor([1])).signed(maps[:1])[0, 0, 0] == -1


def test_which_probability_a_protocol_follows() -> None:
    assert (DEFAULT.tracked, PAPER.tracked) == (Tracked.PREDICTED, Tracked.TOP)


def test_what_takes_the_place_of_the_image() -> None:
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    assert (PAPER.baseline(images) == 0).all()
    blurred = DEFAULT.baseline(images)
    assert blurred.shape == images.shape
    assert blurred.mean() == pytest.approx(images.mean().item(), abs=0.02)
    assert blurred.std() < images.std() / 2


@pytest.mark.parametrize(
    ("task", "targets", "outputs"),
    [
        (Task.MULTICLASS, torch.tensor([0, 1]), 2),
        (Task.MULTICLASS, torch.tensor([0, 2]), 3),
        (Task.BINARY, torch.tensor([[0.0], [1.0]]), 1),
        (Task.MULTILABEL, torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 1.0]]), 3),
    ],
)
def test_the_maps_held_against_annotations_are_those_of_an_evaluation(
    task: Task, targets: Tensor, outputs: int
) -> None:
    maps = torch.randn(2, outputs, 4, 4, generator=torch.Generator().manual_seed(0))
    expected, scored = label_maps(maps, targets, task)
    for row in range(2):
        chosen = finding_outputs(targets[row], task, outputs)
        assert bool(chosen) == bool(scored[row])
        if chosen:
            assert torch.equal(maps[row, chosen].amax(dim=0), expected[row])
