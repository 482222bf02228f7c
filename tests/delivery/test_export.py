from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.reporting.networks import BIAS, CLASSES, SIZE, black_box, checkpoint, write_picture
from torch import nn

import softcam
from softcam.delivery import export as exporting
from softcam.delivery.agreement import compare_networks, generated_batches
from softcam.delivery.export import Export, Target, export_model
from softcam.delivery.onnx_model import OnnxModel, load_onnx
from softcam.delivery.outputs import ExportedNetwork, Output, metadata
from softcam.errors import CheckpointError, ConfigError, ConversionError, DataError
from softcam.model.checkpoint import Checkpoint
from softcam.model.evidence import SoftCAM
from softcam.model.task import Task
from softcam.reporting.explain import explain_images, preprocessing_of
from softcam.reporting.selection import ExplainOptions

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
GAP_HEAD = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))


def fused() -> Checkpoint:
    """A network with strides, batch norm, several stages and three classes."""
    torch.manual_seed(0)
    first = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4), nn.ReLU())
    second = nn.Sequential(nn.Conv2d(4, 8, 3, stride=2, padding=1), nn.ReLU())
    network = nn.Sequential(first, second, *GAP_HEAD)
    model = softcam.convert(network, stages=("0", "1"))
    for layer in model.evidence:
        nn.init.normal_(layer.classes.weight)  # type: ignore[union-attr,arg-type]
        nn.init.normal_(layer.classes.bias)  # type: ignore[union-attr,arg-type]
    return Checkpoint(model.eval(), checkpoint().card)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[Target, Export]:
    folder = tmp_path_factory.mktemp("exported")
    image = write_picture(folder / "given.png", size=(40, 30))
    return {each: export_model(fused(), folder / f"model{each.suffix}", each, [image]) for each in Target}


@pytest.mark.parametrize("target", Target)
def test_it_gives_what_pytorch_gives(exported: dict[Target, Export], target: Target) -> None:
    result = exported[target]
    assert set(result.agreement.differences) == {output.value for output in Output}
    assert result.agreement.largest < 1e-5
    assert (result.agreement.generated, result.agreement.given) == (6, 1)
    assert result.bytes == result.file.stat().st_size > 0


@pytest.mark.parametrize("shape", [(1, 16, 16), (5, 16, 48), (2, 37, 21)])
def test_batch_height_and_width_of_the_onnx_file_are_free(
    exported: dict[Target, Export], shape: tuple[int, int, int]
) -> None:
    count, height, width = shape
    images = torch.randn(count, 3, height, width)
    expected = fused().model.explain(images)  # type: ignore[operator]
    session = onnxruntime.InferenceSession(str(exported[Target.ONNX].file))
    got = dict(zip(map(str, Output), session.run(list(map(str, Output)), {"images": images.numpy()}), strict=True))
    assert got["logits"] == pytest.approx(expected.logits.numpy(), abs=1e-4)
    assert got["evidence"] == pytest.approx(expected.maps.numpy(), abs=1e-4)
    assert got["contrast"] == pytest.approx(expected.contrast().numpy(), abs=1e-4)
    assert got["probabilities"] == pytest.approx(expected.probabilities.numpy(), abs=1e-5)
    bias = json.loads(session.get_modelmeta().custom_metadata_map["bias"])
    assert got["evidence"].mean((2, 3)) + np.array(bias) == pytest.approx(got["logits"], abs=1e-4)


def test_the_onnx_file_explains_itself(exported: dict[Target, Export]) -> None:
    model = onnx.load(exported[Target.ONNX].file)
    shapes = {
        value.name: [each.dim_param or each.dim_value for each in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {
        "images": ["batch", 3, "height", "width"],
        "logits": ["batch", 3],
        "probabilities": ["batch", 3],
        "contrast": ["batch", 3, "map_height", "map_width"],
        "evidence": ["batch", 3, "map_height", "map_width"],
    }
    (opset,) = (each.version for each in model.opset_import if each.domain == "")
    assert opset == 18
    said = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(said["classes"]) == json.loads(said["outputs"]) == list(CLASSES)
    assert (json.loads(said["size"]), json.loads(said["mean"])) == ([SIZE, SIZE], [0.5] * 3)
    assert said["task"] == "multiclass"
    assert "minus the mean over all classes" in said["contrast"]
    for value in (*model.graph.input, *model.graph.output):
        assert value.doc_string == said[value.name]


@pytest.mark.parametrize("target", Target)
def test_it_does_not_tell_where_it_was_made(exported: dict[Target, Export], target: Target) -> None:
    written = exported[target].file.read_bytes()
    for place in (Path(softcam.__file__).parent, Path(torch.__file__).parent, Path.home()):
        assert str(place).encode() not in written


def test_the_words_for_contrast_follow_the_task() -> None:
    def said(classes: tuple[str, ...], task: Task) -> dict[str, str]:
        model = checkpoint(classes, task)
        assert isinstance(model.model, SoftCAM)
        return metadata(model.card, model.model)

    assert "minus that of the other" in said(("healthy", "sick"), Task.MULTICLASS)["contrast"]
    binary = said(("healthy", "sick"), Task.BINARY)
    assert "sees as it is" in binary["contrast"]
    assert binary["probabilities"].endswith("sigmoid of the logits")
    assert (json.loads(binary["outputs"]), json.loads(binary["bias"])) == (["sick"], [BIAS])


def test_a_torch_program_runs_without_softcam(exported: dict[Target, Export]) -> None:
    images = torch.randn(3, 3, 24, 40)
    np.save(images_file := exported[Target.TORCH].file.with_suffix(".npy"), images.numpy())
    code = """
import json, sys
import numpy as np
sys.modules["softcam"] = None  # import softcam fails
import torch
extra = {"softcam.json": ""}
program = torch.export.load(sys.argv[1], extra_files=extra).module()
outputs = program(torch.from_numpy(np.load(sys.argv[2])))
print(json.dumps([outputs["logits"].tolist(), json.loads(extra["softcam.json"])["classes"]]))
"""
    arguments = [sys.executable, "-c", code, exported[Target.TORCH].file, images_file]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    logits, classes = json.loads(done.stdout)
    with torch.no_grad():
        assert np.array(logits) == pytest.approx(fused().model(images).numpy(), abs=1e-4)
    assert json.loads(classes) == list(CLASSES)


def test_explaining_an_onnx_file_needs_nothing_of_training(exported: dict[Target, Export], tmp_path: Path) -> None:
    image = write_picture(tmp_path / "in/eye.png")
    code = """
import sys
for name in ("accelerate", "torchmetrics", "tensorboard", "onnx", "onnxscript", "timm"):
    sys.modules[name] = None  # importing it fails
from softcam.cli import main
sys.exit(main(sys.argv[1:]))
"""
    words = ["explain", exported[Target.ONNX].file, image, "--out", tmp_path / "out", "--limit", "5"]
    subprocess.run([sys.executable, "-c", code, *words], check=True)
    explain_images(fused(), [image], tmp_path / "expected", ExplainOptions(limit=5.0))
    with np.load(tmp_path / "out/eye.npz") as got, np.load(tmp_path / "expected/eye.npz") as expected:
        assert got["maps"] == pytest.approx(expected["maps"], abs=1e-4)
        assert got["logits"] == pytest.approx(expected["logits"], abs=1e-4)
    record = json.loads((tmp_path / "out/eye.json").read_text())
    assert record["completeness_error"] < 1e-4
    assert not record["model"]["converted_from_black_box"]


def test_an_onnx_model_answers_as_its_softcam(exported: dict[Target, Export]) -> None:
    loaded = load_onnx(exported[Target.ONNX].file)
    assert loaded.card == fused().card
    images = torch.randn(2, 3, 20, 20)
    with torch.no_grad():
        logits, maps = fused().model(images, return_evidence=True)
    got_logits, got_maps = loaded.model(images, return_evidence=True)
    assert torch.allclose(loaded.model(images), logits, atol=1e-5)
    assert torch.allclose(got_logits, logits, atol=1e-5)
    assert torch.allclose(got_maps, maps, atol=1e-5)


def test_a_black_box_is_exported_by_its_exact_conversion(tmp_path: Path) -> None:
    source = black_box(nn.Sequential(*GAP_HEAD))
    result = export_model(source, tmp_path / "model.onnx")
    images = torch.randn(2, 3, SIZE, SIZE)
    with torch.no_grad():
        assert torch.allclose(OnnxModel(result.file)(images), source.model(images), atol=1e-4)
    explained = explain_images(load_onnx(result.file), [write_picture(tmp_path / "a.png")], tmp_path / "out")
    assert explained.converted


def test_a_black_box_that_would_decide_otherwise_is_refused(tmp_path: Path) -> None:
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 8), nn.Hardswish(), nn.Linear(8, 3))
    with pytest.raises(ConversionError, match="no exact class activation map"):
        export_model(black_box(head), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("wrong", [2e-4, float("nan")])
def test_a_file_that_differs_is_refused_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: float
) -> None:
    def opened(path: Path) -> Any:
        def run(images: torch.Tensor) -> dict[str, torch.Tensor]:
            with torch.no_grad():
                outputs = ExportedNetwork(checkpoint().model)(images)  # type: ignore[arg-type]
            return {**outputs, "probabilities": outputs["probabilities"] + wrong}

        return run

    monkeypatch.setattr(exporting, "open_torch", opened)
    said = "the exported probabilities differ from PyTorch's by (0.0002|inf), more than 0.0001; nothing was written"
    with pytest.raises(ConversionError, match=said):
        export_model(checkpoint(), tmp_path / "model.pt2", Target.TORCH)
    assert not list(tmp_path.iterdir())


def test_differences_are_relative_to_large_values() -> None:
    preprocessing = preprocessing_of(checkpoint().card)
    large, off = torch.full((1, 1), 1000.0), torch.full((1, 1), 1000.05)
    agreement = compare_networks(lambda _: {"logits": large}, lambda _: {"logits": off}, preprocessing)
    assert agreement.largest == pytest.approx(5e-5, rel=1e-3)


def test_generated_images_are_of_several_sizes_and_in_range() -> None:
    preprocessing = preprocessing_of(checkpoint().card)
    batches = generated_batches(preprocessing)
    assert [tuple(batch.shape) for batch in batches] == [(1, 3, 16, 16), (3, 3, 16, 16), (2, 3, 49, 78)]
    assert all(preprocessing.denormalize(batch).aminmax()[0] >= -1e-6 for batch in batches)
    assert all(preprocessing.denormalize(batch).aminmax()[1] <= 1 + 1e-6 for batch in batches)


def test_a_bad_image_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"bad\.png is no image"):
        export_model(checkpoint(), tmp_path / "model.onnx", images=[tmp_path / "bad.png"])
    assert [file.name for file in tmp_path.iterdir()] == ["bad.png"]


def test_a_card_must_say_how_images_are_prepared(tmp_path: Path) -> None:
    bare = replace(checkpoint(), card=replace(checkpoint().card, preprocessing={}))
    with pytest.raises(CheckpointError, match="does not say how to prepare images"):
        export_model(bare, tmp_path / "model.onnx")


def test_files_that_are_no_export_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"gone\.onnx does not exist"):
        load_onnx(tmp_path / "gone.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    with pytest.raises(CheckpointError, match=r"bad\.onnx is no ONNX file that ONNX Runtime reads"):
        load_onnx(tmp_path / "bad.onnx")
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    values = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy"]
    graph = onnx.helper.make_graph([node], "other", values[:1], values[1:])
    other = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(other, tmp_path / "other.onnx")
    with pytest.raises(CheckpointError, match=r"other\.onnx was not written by softcam export"):
        load_onnx(tmp_path / "other.onnx")
    with pytest.raises(ConfigError, match="ONNX Runtime cannot compute on meta"):
        load_onnx(tmp_path / "other.onnx", "meta")


def test_a_missing_package_names_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match=r"needs onnxruntime, which is missing; pip install 'softcam\[onnx\]'"):
        load_onnx(tmp_path / "model.onnx")


def test_a_network_too_large_for_one_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("softcam.delivery.onnx_export._LARGEST", 10)
    with pytest.raises(ConversionError, match="more than 2 GB of weights, too many for one ONNX file; use --to torch"):
        export_model(checkpoint(), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())
