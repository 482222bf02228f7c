from __future__ import annotations

import pytest
import torch
from tests.evaluation.conftest import SIDE, SIZE, checkpoint, square_reader
from torch import Tensor, nn

from softcam.evaluation.explanations import (
    CEILING,
    CHANCE,
    LOCALIZATION,
    EvidenceReader,
    explaining_model,
    label_maps,
)
from softcam.evaluation.predict import Batch
from softcam.metrics.locality import locality_terms
from softcam.metrics.localization import activation_precision, upsample_maps
from softcam.model.checkpoint import Checkpoint, Head
from softcam.model.convert import convert
from softcam.model.evidence import SoftCAM
from softcam.model.task import Task


def batch_of(images: Tensor, targets: Tensor) -> Batch:
    return {"image": images, "target": targets, "index": torch.arange(len(images)), "mask": images[:, 0] > 0.9}


@pytest.fixture
def images() -> Tensor:
    images = torch.rand(4, 3, SIZE, SIZE) * 0.8
    for index in (1, 2, 3):
        images[index, :, 4 * index : 4 * index + SIDE, 8 : 8 + SIDE] = 1
    return images


def softcam(cell: int = 1, outputs: tuple[float, ...] = (-100.0, 100.0), task: Task = Task.MULTICLASS) -> SoftCAM:
    network = square_reader(outputs, (0.7,) * len(outputs), cell)
    return convert(network, task=task, example=torch.zeros(1, 3, SIZE, SIZE))


def test_a_black_box_is_explained_by_its_class_activation_map(images: Tensor) -> None:
    network = square_reader(cell=4)
    explainer, note = explaining_model(checkpoint(network, Head.GAP), (SIZE, SIZE))
    assert explainer is not None
    assert note == "The black box is explained by its class activation map, in logit units."
    features = network[:2](images)  # CAM: the features, weighed by the weights of the class (Zhou et al. 2016)
    cam = torch.einsum("kd,ndhw->nkhw", network.fc.weight, features)
    evidence = explainer.explain(images)
    torch.testing.assert_close(evidence.maps, cam)
    torch.testing.assert_close(evidence.logits, network(images))


def test_a_softcam_explains_itself() -> None:
    given = checkpoint(square_reader())
    assert explaining_model(given, (SIZE, SIZE)) == (given.model, "")


def test_a_black_box_without_a_class_activation_map_is_left_unexplained() -> None:
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), head).eval()
    given = Checkpoint(network, checkpoint(square_reader(), Head.GAP).card)
    explainer, note = explaining_model(given, (SIZE, SIZE))
    assert explainer is None
    assert note.startswith("Explanations are left out: ")


def test_which_map_an_annotation_is_held_against() -> None:
    contrast = torch.arange(3.0).reshape(1, 3, 1, 1).expand(2, 3, 1, 1)
    two, three = torch.tensor([0, 1]), torch.tensor([0, 2])
    maps, scored = label_maps(contrast[:, :2], two, Task.MULTICLASS)
    assert (maps.flatten().tolist(), scored.tolist()) == ([0.0, 1.0], [False, True])
    maps, scored = label_maps(contrast, three, Task.MULTICLASS)
    assert (maps.flatten().tolist(), scored.tolist()) == ([0.0, 2.0], [True, True])
    maps, scored = label_maps(contrast[:, 2:], torch.tensor([[0.0], [1.0]]), Task.BINARY)
    assert (maps[1].item(), scored.tolist()) == (2.0, [False, True])
    maps, scored = label_maps(contrast, torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]), Task.MULTILABEL)
    assert (maps[0].item(), scored.tolist()) == (1.0, [True, False])


def test_evidence_on_the_square_alone_scores_full_marks(images: Tensor) -> None:
    model = softcam()
    images = (images > 0.9).float()
    logits, scores = EvidenceReader(model, (SIZE, SIZE))(batch_of(images, torch.tensor([0, 1, 1, 0])))
    torch.testing.assert_close(logits, model(images))
    for name in LOCALIZATION:
        assert scores[name].isnan().tolist() == [True, False, False, True]  # a healthy label has no finding to find
        torch.testing.assert_close(scores[name][1:3], torch.ones(2))
        torch.testing.assert_close(scores[name + CEILING][1:3], torch.ones(2))
    for name in ("activation_precision", "pointing_game"):
        torch.testing.assert_close(scores[name + CHANCE][1:3], torch.full((2,), SIDE**2 / SIZE**2))
    assert scores["peak_evidence"].tolist() == pytest.approx([0, 100, 100, 100])
    assert scores["completeness_error"].max() < 1e-5


def test_the_contrast_is_scored_at_the_size_of_the_input(images: Tensor) -> None:
    model = softcam(cell=4, outputs=(30.0, 100.0, 70.0))
    targets = torch.tensor([0, 1, 2, 0])
    batch = batch_of(images, targets)
    _, scores = EvidenceReader(model, (8, 8))(batch)
    contrast = model.explain(images).contrast()[torch.arange(4), targets]
    expected = activation_precision(upsample_maps(contrast, (SIZE, SIZE)), batch["mask"])
    torch.testing.assert_close(scores["activation_precision"], expected, equal_nan=True)


def test_locality_is_that_of_the_contrast(images: Tensor) -> None:
    model = softcam(cell=4)
    images.requires_grad_(False)
    _, scores = EvidenceReader(model, (8, 8), seed=5)(batch_of(images, torch.ones(4, dtype=torch.int64)))
    expected = locality_terms(lambda x: model.explain(x).contrast(), images, seed=5)
    torch.testing.assert_close(scores["locality_residual"], expected[0])
    torch.testing.assert_close(scores["locality_reference"], expected[1])


def test_an_image_alone_in_its_batch_has_no_locality(images: Tensor) -> None:
    _, scores = EvidenceReader(softcam(), (SIZE, SIZE))(batch_of(images[1:2], torch.tensor([1])))
    assert scores["locality_residual"].isnan().all()
    assert scores["pointing_game"].tolist() == [1.0]


def test_without_masks_nothing_is_localized(images: Tensor) -> None:
    batch = batch_of(images, torch.ones(4, dtype=torch.int64))
    del batch["mask"]
    _, scores = EvidenceReader(softcam(), (SIZE, SIZE))(batch)
    assert set(scores) == {"locality_residual", "locality_reference", "completeness_error", "peak_evidence"}
