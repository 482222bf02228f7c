from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from softcam.data import transforms
from softcam.data.dataset import ManifestDataset, class_counts
from softcam.data.manifest import Annotations, Box, Manifest, Point, Sample, Split
from softcam.data.transforms import AUGMENTATIONS, Preprocessing, training_transform
from softcam.errors import DataError
from softcam.model.task import Task

PREPROCESSING = Preprocessing((16, 24), 3, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
TEST = transforms.test_transform(PREPROCESSING)
NONE = Annotations()


def save(path: Path, size: tuple[int, int] = (32, 48), value: int = 51) -> Path:
    Image.fromarray(np.full(size, value, np.uint8)).save(path)
    return path


def make_manifest(
    folder: Path, labels: list[tuple[int, ...]], classes: int, annotations: Annotations = NONE
) -> Manifest:
    samples = tuple(
        Sample(save(folder / f"{number}.png", value=51 * number), label, str(number), annotations=annotations)
        for number, label in enumerate(labels)
    )
    return Manifest(samples, tuple("abcdef"[:classes]))


def test_items_of_a_multiclass_task(tmp_path: Path) -> None:
    dataset = ManifestDataset(make_manifest(tmp_path, [(0,), (2,), (1,)], 3), TEST, Task.MULTICLASS)
    assert len(dataset) == 3
    item = dataset[1]
    assert set(item) == {"image", "target", "index"}
    torch.testing.assert_close(item["image"], torch.full((3, 16, 24), 0.2))
    assert type(item["image"]) is torch.Tensor
    assert (item["target"].dtype, item["target"].item(), item["index"]) == (torch.int64, 2, 1)
    assert dataset.targets.tolist() == [0, 2, 1]


@pytest.mark.parametrize(("labels", "classes"), [([(0,), (1,)], 2), ([(), (0,)], 1)])
def test_items_of_a_binary_task(tmp_path: Path, labels: list[tuple[int, ...]], classes: int) -> None:
    dataset = ManifestDataset(make_manifest(tmp_path, labels, classes), TEST, Task.BINARY)
    assert [dataset[index]["target"].tolist() for index in range(2)] == [[0.0], [1.0]]
    assert dataset.targets.dtype == torch.float32


def test_items_of_a_multilabel_task(tmp_path: Path) -> None:
    dataset = ManifestDataset(make_manifest(tmp_path, [(), (0, 2), (1,)], 3), TEST, Task.MULTILABEL)
    assert dataset.targets.tolist() == [[0, 0, 0], [1, 0, 1], [0, 1, 0]]


def test_annotations_are_drawn_at_the_size_of_the_input(tmp_path: Path) -> None:
    mask = np.zeros((32, 48), np.uint8)
    mask[24:, 40:] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    annotations = Annotations((Box(0, 0, 8, 4),), (Point(21, 11),), (tmp_path / "mask.png",))
    dataset = ManifestDataset(make_manifest(tmp_path, [(0,)], 1, annotations), TEST, Task.MULTICLASS, annotations=True)
    expected = torch.zeros(16, 24, dtype=torch.bool)
    expected[:2, :4] = True
    expected[5, 10] = True
    expected[12:, 20:] = True
    item = dataset[0]
    assert torch.equal(item["mask"], expected)
    assert item["annotated"] is True


def test_images_without_annotations_have_an_empty_mask(tmp_path: Path) -> None:
    dataset = ManifestDataset(make_manifest(tmp_path, [(0,)], 1), TEST, Task.MULTICLASS, annotations=True)
    assert not dataset[0]["mask"].any()
    assert dataset[0]["annotated"] is False


@pytest.mark.parametrize("workers", [0, 2])
def test_a_data_loader_makes_batches(tmp_path: Path, workers: int) -> None:
    manifest = make_manifest(tmp_path, [(0,), (1,), (1,)], 2, Annotations((Box(3, 3, 9, 9),)))
    transform = training_transform(PREPROCESSING, AUGMENTATIONS["fundus"])
    dataset = ManifestDataset(manifest, transform, Task.MULTICLASS, annotations=True)
    batch = next(iter(DataLoader(dataset, batch_size=3, num_workers=workers)))
    assert batch["image"].shape == (3, 3, 16, 24)
    assert batch["mask"].shape == (3, 16, 24)
    assert batch["mask"].dtype == batch["annotated"].dtype == torch.bool
    assert batch["target"].tolist() == [0, 1, 1]
    assert batch["index"].tolist() == [0, 1, 2]


def test_a_box_outside_its_image_is_an_error(tmp_path: Path) -> None:
    manifest = make_manifest(tmp_path, [(0,)], 1, Annotations((Box(40, 10, 20, 5),)))
    dataset = ManifestDataset(manifest, TEST, Task.MULTICLASS, annotations=True)
    with pytest.raises(DataError) as caught:
        dataset[0]
    assert str(caught.value) == (
        f"Box [40, 10, 20, 5] lies outside {tmp_path / '0.png'} (48×32 px); correct it or scale it to the image."
    )


def test_a_mask_of_another_size_is_an_error(tmp_path: Path) -> None:
    mask = save(tmp_path / "mask.png", (32, 32))
    manifest = make_manifest(tmp_path, [(0,)], 1, Annotations(masks=(mask,)))
    dataset = ManifestDataset(manifest, TEST, Task.MULTICLASS, annotations=True)
    with pytest.raises(DataError, match=r"mask\.png is 32×32 px but its image .*0\.png is 48×32 px"):
        dataset[0]


def test_a_missing_image_is_an_error(tmp_path: Path) -> None:
    manifest = make_manifest(tmp_path, [(0,)], 1)
    (tmp_path / "0.png").unlink()
    with pytest.raises(DataError, match=r"0\.png does not exist"):
        ManifestDataset(manifest, TEST, Task.MULTICLASS)[0]


def test_labels_must_be_those_of_the_task(tmp_path: Path) -> None:
    several = make_manifest(tmp_path, [(0, 1)], 2)
    for task in (Task.MULTICLASS, Task.BINARY):
        with pytest.raises(DataError) as caught:
            ManifestDataset(several, TEST, task)
        assert str(caught.value) == (f"{tmp_path / '0.png'} has 2 labels; give it one, or choose the multilabel task.")
    with pytest.raises(DataError, match="has 0 labels"):
        ManifestDataset(make_manifest(tmp_path, [()], 2), TEST, Task.BINARY)
    with pytest.raises(DataError, match="has 3 classes; a binary task has 1 or 2"):
        ManifestDataset(make_manifest(tmp_path, [(0,)], 3), TEST, Task.BINARY)


def test_an_empty_manifest_is_an_error(tmp_path: Path) -> None:
    manifest = make_manifest(tmp_path, [(0,)], 1).select(Split.TRAIN)
    with pytest.raises(DataError, match=r"has no image to use; check its split column\.$"):
        ManifestDataset(manifest, TEST, Task.MULTICLASS)


def test_class_counts(tmp_path: Path) -> None:
    manifest = make_manifest(tmp_path, [(0, 2), (2,), ()], 4)
    assert class_counts(manifest).tolist() == [1, 0, 2, 0]
    assert class_counts(manifest.select(Split.TEST)).tolist() == [0, 0, 0, 0]


@pytest.mark.real_data
def test_real_lesion_masks_keep_their_place_when_shrunk(real_data: Path) -> None:
    images = sorted((real_data / "idrid-lesions" / "images").iterdir())[:3]
    samples = []
    for image in images:
        masks = tuple(sorted((real_data / "idrid-lesions").glob(f"*/{image.stem}.png")))
        assert masks
        samples.append(Sample(image, (0,), image.stem, annotations=Annotations(masks=masks)))
    preprocessing = Preprocessing((256, 256), 3, (0.0,) * 3, (1.0,) * 3)
    dataset = ManifestDataset(
        Manifest(tuple(samples), ("dr",)), transforms.test_transform(preprocessing), Task.MULTICLASS, annotations=True
    )
    for item, sample in zip(dataset, samples, strict=True):
        full = np.any([np.asarray(Image.open(mask)) > 0 for mask in sample.annotations.masks], axis=0)
        share = item["mask"].float().mean().item()
        assert share == pytest.approx(full.mean(), rel=0.35)
