from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.evaluation.conftest import PREPROCESSING, square_reader
from torch import Tensor

from softcam.data.dataset import ManifestDataset
from softcam.data.images import read_image
from softcam.data.manifest import Manifest
from softcam.data.transforms import test_transform as make_transform
from softcam.errors import DataError
from softcam.evaluation.predict import Batch, predict
from softcam.model.task import Task


def dataset(manifest: Manifest, task: Task = Task.MULTICLASS) -> ManifestDataset:
    return ManifestDataset(manifest, make_transform(PREPROCESSING), task)


def test_predictions_are_those_of_the_model_in_the_order_of_the_manifest(squares: Manifest) -> None:
    model = square_reader()
    found = predict(
        lambda batch: (model(batch["image"]), {"index": batch["index"]}), dataset(squares), batch_size=5, seed=3
    )
    images = torch.stack([PREPROCESSING(read_image(sample.image).pixels) for sample in squares.samples])
    with torch.no_grad():
        logits = model(images)
    np.testing.assert_allclose(found.logits, logits, atol=1e-5)
    np.testing.assert_allclose(found.probabilities, logits.softmax(dim=1), atol=1e-5)
    assert found.images == tuple(str(sample.image) for sample in squares.samples)
    assert found.patients == tuple(sample.patient for sample in squares.samples)
    assert found.scores["index"].tolist() == list(range(16))
    assert found.labels == tuple(sample.labels for sample in squares.samples)
    assert found.decisions == tuple((index % 2,) for index in range(16))


def test_each_batch_mixes_the_data_set_and_the_seed_says_how(squares: Manifest) -> None:
    def order(seed: int) -> list[int]:
        seen: list[int] = []

        def read(batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
            seen.extend(batch["index"].tolist())
            return torch.zeros(len(batch["index"]), 2), {}

        predict(read, dataset(squares), batch_size=4, seed=seed)
        return seen

    assert order(0) == order(0) != order(1)
    assert order(0) != sorted(order(0)) == list(range(16))


def test_labels_and_decisions_of_several_classes(squares: Manifest) -> None:
    def logits(batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        return torch.tensor([[3.0, 3.0]]).expand(len(batch["index"]), 2), {}

    samples = tuple(replace(sample, labels=(0, 1) if index else ()) for index, sample in enumerate(squares.samples))
    found = predict(logits, dataset(replace(squares, samples=samples), Task.MULTILABEL))
    assert found.labels[:2] == ((), (0, 1))
    assert found.decisions[:2] == ((0, 1), (0, 1))


def test_a_broken_answer_names_its_image(squares: Manifest) -> None:
    def read(batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        return torch.where(batch["index"][:, None] == 6, torch.nan, 0.0).expand(-1, 2), {}

    with pytest.raises(DataError) as caught:
        predict(read, dataset(squares), batch_size=4)
    assert str(caught.value) == (
        f"the model's logits for {squares.samples[6].image} are not finite; check that image, and the model's training"
    )


def test_an_image_that_cannot_be_read_is_named_by_workers_too(squares: Manifest) -> None:
    broken = squares.samples[0].image.parent / "broken.png"
    broken.write_bytes(b"no image")
    manifest = replace(squares, samples=(replace(squares.samples[0], image=broken),))
    for workers in (0, 1):
        with pytest.raises(DataError, match=r"broken\.png") as caught:
            predict(lambda batch: (batch["image"], {}), dataset(manifest), workers=workers)
        assert "\n" not in str(caught.value)
