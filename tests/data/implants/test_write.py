from __future__ import annotations

import json
import logging
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st
from PIL import Image
from tests.data.implants.conftest import Healthy

from softcam.data.implants import ImplantKind, ImplantOptions, make_implant, write_implants
from softcam.data.implants.write import draw_diseased
from softcam.data.sample import Sample, Split
from softcam.errors import ConfigError, DataError

CHEST = ImplantOptions(ImplantKind.CHEST)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_files_do_not_depend_on_workers_or_the_order_of_images(healthy: Healthy, tmp_path: Path) -> None:
    samples = healthy()
    shuffled = random.Random(0).sample(samples, len(samples))
    write_implants(samples, CHEST, tmp_path / "a", workers=1, seed=3)
    write_implants(shuffled, CHEST, tmp_path / "b", workers=2, seed=3)
    first, second = contents(tmp_path / "a"), contents(tmp_path / "b")
    assert first.pop("manifest.csv") != second.pop("manifest.csv")
    assert first == second


def test_the_manifest_keeps_what_the_images_come_with(healthy: Healthy, tmp_path: Path) -> None:
    samples = healthy()
    manifest = write_implants(samples, CHEST, tmp_path / "set", workers=1)
    manifest.check_images()
    assert manifest.classes == ("healthy", "diseased")
    for sample, source in zip(manifest.samples, samples, strict=True):
        assert (sample.patient, sample.split) == (source.patient, source.split)
        assert sample.extra["eye"] == source.extra["eye"]
        assert sample.extra["source"] == str(source.image)
        assert bool(sample.annotations.masks) == bool(sample.extra["lesions"]) == (sample.labels == (1,))


def test_healthy_images_are_untouched_and_the_others_changed_in_their_masks(healthy: Healthy, tmp_path: Path) -> None:
    manifest = write_implants(healthy("fundus"), ImplantOptions(ImplantKind.FUNDUS), tmp_path / "set", workers=1)
    for sample in manifest.samples:
        source = np.asarray(Image.open(sample.extra["source"])).astype(int)
        change = np.abs(np.asarray(Image.open(sample.image)).astype(int) - source).max(axis=-1)
        if sample.labels == (0,):
            assert not change.any()
            continue
        (mask,) = (np.asarray(Image.open(path)) for path in sample.annotations.masks)
        assert set(np.unique(mask)) == {0, 255}
        assert change[mask == 255].min() >= 5  # 0.02 of 255, rounded
        assert change[mask == 0].max() <= 6


def test_nothing_but_the_lesions_tells_the_classes_apart(healthy: Healthy, tmp_path: Path) -> None:
    """The same image with and without lesions: same format and size, bytes that differ by less than images do."""
    samples = healthy(count=12)
    pair = [write_implants(samples, CHEST, tmp_path / str(share), share=share, workers=1) for share in (0, 1)]
    sizes = np.array([[sample.image.stat().st_size for sample in manifest.samples] for manifest in pair])
    assert np.abs(sizes[1] / sizes[0] - 1).max() < 0.03
    for healthy_one, diseased in zip(*(manifest.samples for manifest in pair), strict=True):
        assert healthy_one.image.name == diseased.image.name
        pictures = [Image.open(sample.image) for sample in (healthy_one, diseased)]
        assert len({(picture.format, picture.mode, picture.size) for picture in pictures}) == 1
        outside = np.asarray(Image.open(diseased.annotations.masks[0])) == 0
        means = [np.asarray(picture)[outside].mean() for picture in pictures]
        assert abs(means[0] - means[1]) < 1


def test_scaling_brings_all_images_to_one_longer_side(healthy: Healthy, tmp_path: Path) -> None:
    samples = healthy(count=2)
    with Image.open(samples[0].image) as image:
        image.crop((0, 8, 96, 88)).save(samples[0].image)
    manifest = write_implants(samples, CHEST, tmp_path / "set", size=120, workers=1)
    assert [Image.open(sample.image).size for sample in manifest.samples] == [(120, 100), (120, 120)]


@given(
    patients=st.lists(st.integers(0, 12), min_size=1, max_size=40),
    share=st.floats(0, 1),
    seed=st.integers(0, 2**32),
)
def test_the_share_holds_in_every_split_and_patient(patients: list[int], share: float, seed: int) -> None:
    splits = (*Split, None)
    samples = [Sample(Path(f"{k}.png"), (0,), f"p{p}", splits[p % 4]) for k, p in enumerate(patients)]
    names = [str(k) for k in range(len(samples))]
    diseased = draw_diseased(samples, names, share, seed)
    order = list(range(len(samples)))
    random.Random(seed).shuffle(order)
    again = draw_diseased([samples[k] for k in order], [names[k] for k in order], share, seed)
    assert again == [diseased[k] for k in order]
    for group in [lambda s: s.split, lambda s: s.patient]:
        for key in {group(sample) for sample in samples}:
            drawn = [ill for ill, sample in zip(diseased, samples, strict=True) if group(sample) == key]
            assert abs(sum(drawn) - share * len(drawn)) <= 1 + 1e-6


def test_an_image_that_cannot_carry_lesions_is_left_out_of_either_class(
    healthy: Healthy, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    samples = healthy(count=6)
    Image.new("L", (96, 96), 128).save(samples[0].image)
    samples[1].image.write_bytes(b"no image")
    for share in (0, 1):
        with caplog.at_level(logging.WARNING):
            manifest = write_implants(samples, CHEST, tmp_path / "set", share=share, workers=1)
        assert [sample.extra["source"] for sample in manifest.samples] == [str(s.image) for s in samples[2:]]
    assert f"left out {samples[0].image}: no lungs are found" in caplog.text
    assert f"left out {samples[1].image}: {samples[1].image} is no image" in caplog.text


def test_grey_images_are_no_fundus_photographs(healthy: Healthy, tmp_path: Path) -> None:
    options = ImplantOptions(ImplantKind.FUNDUS)
    with pytest.raises(DataError, match=r"^None of the 2 images can carry fundus lesions; is that their kind\?$"):
        write_implants(healthy(count=2), options, tmp_path / "set", workers=1)
    assert not (tmp_path / "set").exists()


def test_the_folder_says_how_it_was_made_and_is_replaced_only_then(healthy: Healthy, tmp_path: Path) -> None:
    samples = healthy(count=2)
    for seed in (1, 2):
        write_implants(samples, CHEST, tmp_path / "set", seed=seed, workers=1)
        facts = json.loads((tmp_path / "set" / "implants.json").read_text())
        assert (facts["kind"], facts["seed"], facts["share"], facts["size"]) == ("chest", seed, 0.5, None)
    (tmp_path / "set" / "implants.json").unlink()
    with pytest.raises(DataError, match="holds files that are not implants; name a new folder"):
        write_implants(samples, CHEST, tmp_path / "set", workers=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"share": 1.1}, "implant share is 1.1; choose a value from 0 to 1."),
        ({"size": 32}, "implant size is 32; choose a value from 64 to 4096 px, or none to keep images as they are."),
        ({"seed": -1}, "implant seed is -1; give 0 or more."),
        ({"workers": 0}, "implant workers is 0; give 1 or more."),
    ],
)
def test_a_value_out_of_range_is_named(options: dict[str, float], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        write_implants([Sample(tmp_path / "a.png", (0,), "a")], CHEST, tmp_path / "set", **options)
    assert str(caught.value) == message


def test_lesions_of_an_image_are_named_by_its_place_among_the_images(healthy: Healthy, tmp_path: Path) -> None:
    sample = healthy(count=1)[0]
    (written,) = write_implants([sample], CHEST, tmp_path / "set", share=1, seed=5, workers=1).samples
    pixels = np.asarray(Image.open(sample.image), dtype=np.float32)[None] / np.float32(255)
    implant = make_implant(pixels, CHEST, 5, written.image.stem)
    np.testing.assert_array_equal(np.asarray(Image.open(written.annotations.masks[0])) > 0, implant.mask)
