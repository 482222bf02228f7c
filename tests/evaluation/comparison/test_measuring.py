"""Subjects and their scores, where a model has several labels or a decision is against its output."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from softcam.evaluation.comparison.decisions import Protocol
from softcam.evaluation.comparison.explaining import explain_batch
from softcam.evaluation.comparison.measuring import measure
from softcam.evaluation.comparison.repeating import Again
from softcam.evaluation.comparison.subject import Subject
from softcam.explainers import Explainer, Explanation
from softcam.model.task import Task

LEFT, RIGHT = slice(0, 8), slice(8, 16)


class Halves(nn.Module):
    """Two logits: how bright the left half is, and the right."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.stack([images[..., LEFT].mean(dim=(1, 2, 3)), images[..., RIGHT].mean(dim=(1, 2, 3))], dim=1)


def where_it_looks(images: Tensor, classes: Tensor) -> Explanation:
    maps = torch.zeros(len(images), 16, 16)
    maps[classes == 0, :, LEFT] = 1
    maps[classes == 1, :, RIGHT] = 1
    return Explanation(maps, (1, 2), 1.0)


AGAIN = Again(where_it_looks, Halves(), lambda model: where_it_looks, 8)


def batch_of(targets: Tensor, masks: Tensor | None) -> dict[str, Tensor]:
    images = torch.ones(len(targets), 3, 16, 16)
    images[..., RIGHT] = 0.5
    batch = {"image": images, "target": targets, "index": torch.arange(10, 10 + len(targets))}
    return batch if masks is None else {**batch, "mask": masks}


def test_several_labels_are_explained_each_and_united() -> None:
    masks = torch.ones(3, 16, 16, dtype=torch.bool)
    masks[2] = False
    targets = torch.tensor([[1.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    subject = Subject.read(batch_of(targets, masks), Halves(), Task.MULTILABEL, 3, decided=False)
    assert dict(subject.findings) == {0: [0, 1], 1: [1]}  # the third image has no annotation
    assert subject.requests == [(0, 0), (0, 1), (1, 1)]
    answer = explain_batch(where_it_looks, subject.images, subject.requests, 2)
    records = measure("x", answer, subject, ["activation_sensitivity"], Protocol.DEFAULT, AGAIN)
    assert [record.image for record in records] == [10, 11, 12]
    assert [dict(record.values) for record in records] == [
        {"activation_sensitivity": 1.0},
        {"activation_sensitivity": 0.5},
        {},
    ]
    assert records[1].ceiling == {"activation_sensitivity": 1.0}


def test_the_decision_and_the_finding_may_be_different_classes() -> None:
    masks = torch.zeros(1, 16, 16, dtype=torch.bool)
    masks[:, :, RIGHT] = True
    subject = Subject.read(batch_of(torch.tensor([1]), masks), Halves(), Task.MULTICLASS, 3, decided=True)
    assert subject.requests == [(0, 0), (0, 1)]  # decided for the left, labelled right
    answer = explain_batch(where_it_looks, subject.images, subject.requests, 8)
    (record,) = measure("x", answer, subject, ["activation_precision", "deletion"], Protocol.PAPER, AGAIN)
    assert record.values["activation_precision"] == 1
    first, *_, last = record.curves["deletion"]
    assert first == pytest.approx(torch.tensor([1.0, 0.5]).softmax(dim=0)[0].item())
    assert last < first


def test_without_annotations_only_decisions_are_explained() -> None:
    subject = Subject.read(batch_of(torch.tensor([1, 0]), None), Halves(), Task.MULTICLASS, 3, decided=True)
    assert subject.findings == {}
    assert subject.requests == [(0, 0), (1, 0)]


def test_chance_and_baseline_are_computed_once_for_all_explainers() -> None:
    masks = torch.ones(2, 16, 16, dtype=torch.bool)
    subject = Subject.read(batch_of(torch.tensor([1, 1]), masks), Halves(), Task.MULTICLASS, 3, decided=True)
    assert subject.chance("pointing_game") is subject.chance("pointing_game")
    assert subject.ceiling("pointing_game", (2, 2)) is subject.ceiling("pointing_game", (2, 2))
    assert subject.ceiling("pointing_game", (2, 2)) is not subject.ceiling("pointing_game", (4, 4))


def test_an_explainer_is_asked_again_about_other_images_and_another_model() -> None:
    subject = Subject.read(batch_of(torch.tensor([1, 0]), None), Halves(), Task.MULTICLASS, 3, decided=True)

    def of_image(model: nn.Module) -> Explainer:
        def explain(images: Tensor, classes: Tensor) -> Explanation:
            if isinstance(model, Halves) and images[0].amax() > 1.5:
                raise RuntimeError("too bright")
            return Explanation.from_pixels(images.mean(dim=1) * torch.linspace(0, 1, 16), forward_passes=1)

        return explain

    halves = Halves()
    again = Again(of_image(halves), halves, of_image, 8)
    repetition = again.repetition(subject, [1])
    assert repetition.images.shape == (1, 3, 16, 16)
    assert torch.equal(
        repetition.explain(halves, repetition.images), repetition.explain(nn.Identity(), repetition.images)
    )
    assert repetition.explain(halves, repetition.images + 1).isnan().all()

    answer = explain_batch(again.explainer, subject.images, subject.requests, 8)
    records = measure("x", answer, subject, ["max_sensitivity"], Protocol.DEFAULT, again)
    assert all(0 < record.values["max_sensitivity"] < 0.04 for record in records)
