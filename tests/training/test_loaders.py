from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.training.conftest import write_manifest
from torch.utils.data import DataLoader, Dataset

from softcam.data.manifest import Manifest, Split
from softcam.errors import ConfigError, DataError
from softcam.model.task import Task
from softcam.training.config import Monitor, TrainConfig
from softcam.training.loaders import TrainingData, make_loaders, plain_worker_errors, read_training_data

MakeConfig = Callable[..., TrainConfig]


def rewrite(manifest: Manifest, path: Path, **changes: object) -> Path:
    samples = tuple(replace(sample, **changes) for sample in manifest.samples)  # type: ignore[arg-type]
    assert replace(manifest, samples=samples).write(path).path is not None
    return path


def test_the_manifest_is_divided_by_its_splits(manifest: Manifest, make_config: MakeConfig) -> None:
    data = read_training_data(make_config())
    assert (len(data.train), len(data.val), data.task, data.num_outputs) == (16, 7, Task.MULTICLASS, 2)
    assert {sample.split for sample in data.val.samples} == {Split.VAL}


def test_the_task_follows_from_the_labels_unless_it_is_given(
    manifest: Manifest, make_config: MakeConfig, tmp_path: Path
) -> None:
    assert read_training_data(make_config(model={"task": Task.BINARY})).num_outputs == 1
    both = rewrite(manifest, tmp_path / "both.csv", labels=(0, 1))
    with pytest.raises(DataError, match="validation images"):
        read_training_data(make_config(data={"manifest": both}))
    config = make_config(data={"manifest": both}, run={"monitor": Monitor.ACCURACY})
    assert read_training_data(config).task is Task.MULTILABEL
    config = replace(config, model=replace(config.model, task=Task.MULTICLASS))
    with pytest.raises(DataError, match="has 2 labels; give it one, or choose the multilabel task"):
        make_loaders(config, read_training_data(config), processes=1)


def test_binary_needs_at_most_two_classes(make_config: MakeConfig, tmp_path: Path) -> None:
    three = write_manifest(tmp_path / "three", classes=3)
    config = make_config(data={"manifest": three.path}, model={"task": Task.BINARY})
    with pytest.raises(DataError, match=r"has 3 classes; a binary task has 1 or 2"):
        make_loaders(config, read_training_data(config), processes=1)


def test_an_empty_split_is_named(manifest: Manifest, make_config: MakeConfig, tmp_path: Path) -> None:
    path = rewrite(manifest, tmp_path / "train.csv", split=Split.TRAIN)
    with pytest.raises(DataError) as error:
        read_training_data(make_config(data={"manifest": path}))
    assert str(error.value) == f"{path} has no image in the split val; fill its column 'split'"


def test_a_missing_image_is_found_before_the_training(make_config: MakeConfig, tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path / "images")
    manifest.samples[3].image.unlink()
    with pytest.raises(DataError) as error:
        read_training_data(make_config(data={"manifest": manifest.path}))
    assert str(error.value) == f"{manifest.samples[3].image} does not exist; correct its path in {manifest.path}"


def test_a_monitor_that_the_validation_images_do_not_define_is_refused(
    manifest: Manifest, make_config: MakeConfig, tmp_path: Path
) -> None:
    kept = manifest.select(where=lambda sample: sample.split is Split.TRAIN or sample.labels == (1,))
    path = kept.write(tmp_path / "one.csv").path
    with pytest.raises(DataError, match=r"^all 3 validation images of .*one.csv have the same labels, so auroc is not"):
        read_training_data(make_config(data={"manifest": path}))
    assert len(read_training_data(make_config(data={"manifest": path}, run={"monitor": Monitor.LOSS})).val) == 3


def test_fewer_images_than_a_step_takes_are_refused(make_config: MakeConfig) -> None:
    config = make_config(optim={"batch_size": 4, "accumulation": 3})
    with pytest.raises(DataError, match=r"has 16 training images, but a step takes 24; lower optim.batch_size"):
        make_loaders(config, read_training_data(config), processes=2)


def test_an_epoch_is_cut_to_whole_steps_and_validation_is_not(make_config: MakeConfig) -> None:
    config = make_config(optim={"batch_size": 3, "accumulation": 2})
    train, val = make_loaders(config, read_training_data(config), processes=1)
    assert [len(batch["index"]) for batch in train] == [3, 3, 3, 3]
    assert torch.cat([batch["index"] for batch in val]).tolist() == list(range(7))


def test_validation_is_not_augmented_and_training_is(make_config: MakeConfig) -> None:
    config = make_config(optim={"batch_size": 16})
    train, val = make_loaders(config, read_training_data(config), processes=1)
    first, second = (next(iter(val))["image"] for _ in range(2))
    assert torch.equal(first, second)
    batches = []
    for epoch in (0, 1):
        train.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        batch = next(iter(train))
        batches.append(batch["image"][batch["index"].argsort()])
    assert not torch.equal(*batches)


def test_balanced_sampling_of_several_labels_is_refused(manifest: Manifest, make_config: MakeConfig) -> None:
    config = make_config(optim={"balanced_sampling": True})
    data = replace(read_training_data(config), task=Task.MULTILABEL)
    with pytest.raises(ConfigError, match=r"^optim.balanced_sampling is true, but images have several labels"):
        make_loaders(config, data, processes=1)


def test_balanced_sampling_draws_all_classes_alike(manifest: Manifest, make_config: MakeConfig, tmp_path: Path) -> None:
    unequal = manifest.select(where=lambda s: s.split is Split.VAL or s.labels == (0,) or s.image.stem == "train-1")
    path = unequal.write(tmp_path / "unequal.csv").path
    config = make_config(data={"manifest": path}, optim={"balanced_sampling": True, "batch_size": 9})
    data = read_training_data(config)
    train, _ = make_loaders(config, data, processes=1)
    drawn = []
    for epoch in range(200):
        train.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        drawn += [data.train.samples[draw.index].labels[0] for draw in train.sampler]
    assert sum(drawn) / len(drawn) == pytest.approx(1 / 2, abs=0.05)


def test_a_class_without_training_images_cannot_be_balanced(
    manifest: Manifest, make_config: MakeConfig, tmp_path: Path
) -> None:
    kept = manifest.select(where=lambda sample: sample.split is Split.VAL or sample.labels == (0,))
    data = read_training_data(make_config(data={"manifest": kept.write(tmp_path / "one.csv").path}))
    with pytest.raises(DataError, match=r"one.csv has no training image of class 'class 1' to balance with; add some$"):
        data.class_counts()


class Broken(Dataset[torch.Tensor]):
    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> torch.Tensor:
        raise DataError("a: b.png is truncated: copy it again")


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_of_a_loading_process_is_the_sentence_that_it_was(workers: int) -> None:
    with pytest.raises(DataError) as error, plain_worker_errors():
        list(DataLoader(Broken(), num_workers=workers))
    assert str(error.value) == "a: b.png is truncated: copy it again"


def test_images_are_named_by_their_files(manifest: Manifest) -> None:
    data = TrainingData(manifest.select(Split.TRAIN), manifest.select(Split.VAL), Task.MULTICLASS)
    assert data.image_names([2, 0]) == f"{data.train.samples[2].image}, {data.train.samples[0].image}"
