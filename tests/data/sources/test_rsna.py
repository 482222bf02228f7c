from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from softcam.data.manifest import Box, Manifest
from softcam.data.sources.rsna import prepare_rsna
from softcam.data.splits import SplitOptions
from softcam.errors import DataError

NORMAL = [f"normal{index}" for index in range(10)]
OPACITY = [f"opacity{index}" for index in range(10)]


@pytest.fixture
def root(tmp_path: Path, make_image: Callable[..., Path]) -> Path:
    root = tmp_path / "rsna"
    for name in (*NORMAL, *OPACITY, "other"):
        make_image(root / f"stage_2_train_images/{name}.dcm", 1024, 1024)
    labels = [f"{name},,,,,0" for name in (*NORMAL, "other")]
    labels += [f"{name},264.0,152.0,213.0,379.0,1" for name in OPACITY] + ["opacity0,562,152,256,453,1"]
    (root / "stage_2_train_labels.csv").write_text("\n".join(["patientId,x,y,width,height,Target", *labels]))
    classes = [f"{name},Normal" for name in NORMAL] + [f"{name},Lung Opacity" for name in (*OPACITY, "opacity0")]
    classes.append("other,No Lung Opacity / Not Normal")
    (root / "stage_2_detailed_class_info.csv").write_text("\n".join(["patientId,class", *classes]))
    return root


def test_normal_against_opacity_with_boxes(root: Path) -> None:
    manifest = prepare_rsna(root, root / "rsna.csv", split=SplitOptions((0.6, 0.2, 0.2)))
    assert Manifest.read(root / "rsna.csv") == manifest
    assert manifest.classes == ("Normal", "Lung Opacity")
    assert manifest.counts() == {
        "train": {"Normal": 6, "Lung Opacity": 6},
        "val": {"Normal": 2, "Lung Opacity": 2},
        "test": {"Normal": 2, "Lung Opacity": 2},
    }
    by_patient = {sample.patient: sample for sample in manifest.samples}
    assert set(by_patient) == {*NORMAL, *OPACITY}
    assert by_patient["opacity0"].annotations.boxes == (Box(264, 152, 213, 379), Box(562, 152, 256, 453))
    assert by_patient["opacity1"].annotations.boxes == (Box(264, 152, 213, 379),)
    assert not any(by_patient[name].annotations for name in NORMAL)


def test_the_mapping_tells_the_real_patients(root: Path) -> None:
    mapping = root / "mapping.json"
    rows = [
        {"subset_img_id": name, "img_id": f"{index // 2:08d}_{index:03d}.png"}
        for index, name in enumerate([*NORMAL, *OPACITY])
    ]
    mapping.write_text(json.dumps(rows))
    manifest = prepare_rsna(root, root / "rsna.csv", mapping=mapping)
    assert manifest.patients == tuple(f"{index:08d}" for index in range(10))


@pytest.mark.parametrize("content", ["[]x", '[{"img_id": "1_1.png"}]', '{"a": 1}'])
def test_another_mapping_is_refused(root: Path, content: str) -> None:
    (root / "mapping.json").write_text(content)
    with pytest.raises(DataError, match=r"mapping\.json is not RSNA's mapping .*subset_img_id and img_id\.$"):
        prepare_rsna(root, root / "rsna.csv", mapping=root / "mapping.json")


def test_a_missing_table_and_a_missing_mapping(root: Path) -> None:
    with pytest.raises(DataError, match=r"none\.json does not exist; RSNA publishes it with the challenge data\.$"):
        prepare_rsna(root, root / "rsna.csv", mapping=root / "none.json")
    (root / "stage_2_detailed_class_info.csv").unlink()
    with pytest.raises(DataError, match=r"stage_2_detailed_class_info\.csv does not exist; check the path\.$"):
        prepare_rsna(root, root / "rsna.csv")


def test_an_unknown_class_is_named(root: Path) -> None:
    (root / "stage_2_detailed_class_info.csv").write_text("patientId,class\nnormal0,Nromal\n")
    with pytest.raises(DataError, match=r"stage_2_detailed_class_info\.csv, line 2: class 'Nromal' is unknown"):
        prepare_rsna(root, root / "rsna.csv")


def test_a_missing_image_leaves_no_manifest(root: Path) -> None:
    (root / "stage_2_train_images/normal3.dcm").unlink()
    with pytest.raises(DataError, match=r"normal3\.dcm does not exist"):
        prepare_rsna(root, root / "rsna.csv")
    assert not (root / "rsna.csv").exists()


def test_a_box_outside_its_image_is_an_error(root: Path, make_image: Callable[..., Path]) -> None:
    make_image(root / "stage_2_train_images/opacity4.dcm", 512, 512)
    with pytest.raises(DataError, match=r"^Box \[264, 152, 213, 379\] lies outside .*opacity4\.dcm \(512×512 px\)"):
        prepare_rsna(root, root / "rsna.csv")
