from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from tests.training.conftest import write_manifest
from torch import Tensor
from torch.utils.data import DataLoader

from softcam.data.dataset import ManifestDataset
from softcam.data.manifest import Manifest, Split
from softcam.data.transforms import Preprocessing, test_transform as plain_transform
from softcam.errors import ConfigError, DataError, SoftCAMError
from softcam.metrics.classification import classification_metrics
from softcam.model.checkpoint import Head, load_checkpoint
from softcam.model.evidence import SoftCAM
from softcam.model.task import Task
from softcam.training.config import Monitor, Optimizer, Precision, TrainConfig
from softcam.training.loop import train
from softcam.training.objective import Objective

pytestmark = pytest.mark.usefixtures("tiny")

MakeConfig = Callable[..., TrainConfig]
TIMES = ("seconds", "images_per_second")


def weights(run: Path) -> dict[str, Tensor]:
    (state,) = (run / "last").iterdir()
    return load_file(state / "model.safetensors")


def table(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as stream:
        return [{k: v for k, v in row.items() if k not in TIMES} for row in csv.DictReader(stream)]


def interrupt_at(monkeypatch: pytest.MonkeyPatch, batch: int, error: BaseException) -> None:
    """Raise ``error`` in place of the loss of the batch of this number, once."""
    original, calls = Objective.__call__, iter(range(10**6))

    def call(self: Objective, *args: Any, **keywords: Any) -> Tensor:
        if next(calls) == batch:
            raise error
        return original(self, *args, **keywords)

    monkeypatch.setattr(Objective, "__call__", call)


class TestResume:
    @pytest.mark.parametrize("workers", [0, 2])
    @pytest.mark.parametrize("head", list(Head))
    def test_ends_with_the_weights_of_an_uninterrupted_run_bit_for_bit(
        self, make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, head: Head, workers: int
    ) -> None:
        config = make_config(
            data={"workers": workers},
            model={"backbone": "resnet50", "head": head, "stages": ("stage1", "stage2")},
            optim={"accumulation": 2},
        )
        whole = train(replace(config, run=replace(config.run, out=tmp_path / "whole")), progress=False)
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            interrupt_at(patch, batch=2 * 4 + 3, error=KeyboardInterrupt())  # late in the third epoch
            train(config, progress=False)
        assert [state.name for state in (config.run.out / "last").iterdir()] == ["epoch-0002"]
        resumed = train(config, resume=True, progress=False)
        theirs = weights(whole)
        for name, value in weights(resumed).items():
            assert torch.equal(value, theirs[name]), name
        assert table(resumed) == table(whole)
        best, expected = (load_file(run / "model" / "model.safetensors") for run in (resumed, whole))
        assert all(torch.equal(best[name], expected[name]) for name in expected)

    def test_the_result_does_not_depend_on_the_number_of_workers(self, make_config: MakeConfig, tmp_path: Path) -> None:
        runs = [
            train(make_config(data={"workers": workers}, run={"out": tmp_path / str(workers)}), progress=False)
            for workers in (0, 2)
        ]
        assert table(runs[0]) == table(runs[1])

    def test_before_the_first_epoch_has_ended_it_begins_again(
        self, make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        config = make_config()
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            interrupt_at(patch, batch=1, error=KeyboardInterrupt())
            train(config, progress=False)
        whole = train(replace(config, run=replace(config.run, out=tmp_path / "whole")), progress=False)
        assert table(train(config, resume=True, progress=False)) == table(whole)

    def test_a_kill_while_saving_leaves_the_state_before(self, make_config: MakeConfig) -> None:
        config = make_config(optim={"epochs": 2})
        run = train(config, progress=False)
        half = run / "last" / ".epoch-0003.1234.partial"
        half.mkdir()
        (half / "model.safetensors").write_bytes(b"half a file")
        train(replace(config, optim=replace(config.optim, epochs=3)), resume=True, progress=False)
        assert [state.name for state in (run / "last").iterdir()] == ["epoch-0003"]

    def test_a_finished_run_is_left_as_it_is(self, make_config: MakeConfig) -> None:
        config = make_config(optim={"epochs": 1})
        run = train(config, progress=False)
        before = {path: path.stat().st_mtime_ns for path in (run / "last").rglob("*")}
        assert train(config, resume=True, progress=False) == run
        assert {path: path.stat().st_mtime_ns for path in (run / "last").rglob("*")} == before

    def test_ctrl_c_says_how_to_go_on(
        self, make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        config = make_config()
        interrupt_at(monkeypatch, batch=5, error=KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            train(config)
        out = config.run.out
        assert (
            f"interrupted; {out / 'last' / 'epoch-0001'} is kept; "
            f"go on with: softcam train --config {out / 'config.yaml'} --resume"
        ) in capsys.readouterr().err


class TestRunFolder:
    def test_holds_what_is_promised(self, make_config: MakeConfig, manifest: Manifest) -> None:
        config = make_config()
        run = train(config, progress=False)
        assert yaml.safe_load((run / "config.yaml").read_text()) == config.to_dict()
        provenance = json.loads((run / "provenance.json").read_text())
        assert len(provenance["manifest_sha256"]) == 64
        assert {"softcam", "torch", "torchvision", "python"} <= provenance["versions"].keys()
        rows = table(run)
        assert [row["epoch"] for row in rows] == ["1", "2", "3"]
        assert [row["step"] for row in rows] == ["4", "8", "12"]
        assert list((run / "tensorboard").iterdir())
        assert not [path for path in run.rglob("*") if ".partial" in path.name]

    def test_the_best_model_is_kept_and_its_card_holds_its_own_numbers(
        self, make_config: MakeConfig, manifest: Manifest
    ) -> None:
        run = train(make_config(run={"monitor": Monitor.LOSS}, optim={"lr": 0.02}), progress=False)
        model, card = (checkpoint := load_checkpoint(run)).model, checkpoint.card
        assert isinstance(model, SoftCAM)
        losses = [float(row["val_loss"]) for row in table(run)]
        assert card.metrics["epoch"] == losses.index(min(losses)) + 1
        assert (card.classes, card.task, card.head) == (manifest.classes, Task.MULTICLASS, Head.SOFTCAM)
        assert "/" not in card.training["config"]["data"]["manifest"]

        preprocessing = Preprocessing.from_dict(card.preprocessing)
        images = ManifestDataset(manifest.select(Split.VAL), plain_transform(preprocessing), card.task)
        (batch,) = DataLoader(images, batch_size=7)
        with torch.no_grad():
            logits = model(batch["image"])
        loss = torch.nn.functional.cross_entropy(logits, batch["target"])
        assert loss.item() == pytest.approx(card.metrics["val_loss"], rel=1e-5)
        scores = classification_metrics(card.task.probabilities(logits).numpy(), batch["target"].numpy(), card.task)
        assert {f"val_{name}": pytest.approx(value) for name, value in scores.items()} == {
            name: value for name, value in card.metrics.items() if name.startswith("val_") and name != "val_loss"
        }

    def test_a_run_is_not_overwritten(self, make_config: MakeConfig) -> None:
        config = make_config(optim={"epochs": 1})
        run = train(config, progress=False)
        with pytest.raises(ConfigError) as error:
            train(config, progress=False)
        assert str(error.value) == f"{run} holds a run already; pass --resume, or another --run.out"


class TestTraining:
    @pytest.mark.parametrize("task", [Task.MULTICLASS, Task.BINARY, Task.MULTILABEL])
    def test_learns_every_task(self, make_config: MakeConfig, task: Task) -> None:
        config = make_config(
            data={"augmentation": "none"},
            model={"task": task},
            loss={"class_weights": True, "l1": 1e-3, "mix": 0.1},
            optim={"epochs": 25, "lr": 0.03, "clip_norm": None},
        )
        rows = table(train(config, progress=False))
        assert float(rows[-1]["train_classification"]) < 0.2
        assert max(float(row["val_auroc"]) for row in rows) > 0.9

    def test_two_runs_of_a_seed_are_equal_and_two_seeds_are_not(self, make_config: MakeConfig, tmp_path: Path) -> None:
        runs = [
            train(make_config(run={"out": tmp_path / name, "seed": seed}), progress=False)
            for name, seed in (("a", 1), ("b", 1), ("c", 2))
        ]
        tables = [table(run) for run in runs]
        assert tables[0] == tables[1] != tables[2]

    def test_accumulated_batches_make_the_step_of_the_whole(self, make_config: MakeConfig, tmp_path: Path) -> None:
        """The paper's convention looks at one image of each batch, so only the mean convention can agree."""
        results = []
        for size, accumulation in ((8, 1), (4, 2), (2, 4)):
            config = make_config(
                loss={"l1": 0.1, "l2": 0.1, "mix": 0.0, "class_weights": True},
                optim={"batch_size": size, "accumulation": accumulation, "optimizer": Optimizer.SGD, "lr": 0.1},
                run={"out": tmp_path / str(size)},
            )
            results.append(weights(train(config, progress=False)))
        for other in results[1:]:
            for name, value in results[0].items():
                torch.testing.assert_close(other[name], value, rtol=1e-4, atol=1e-5)

    def test_the_learning_rate_follows_the_schedule(self, make_config: MakeConfig) -> None:
        config = make_config(optim={"lr": 0.01, "min_lr": 0.001, "warmup_epochs": 1.0})
        rows = table(train(config, progress=False))
        expected = [0.01, *(0.001 + 0.0045 * (1 + math.cos(math.pi * step / 8)) for step in (3, 7))]
        assert [float(row["lr"]) for row in rows] == pytest.approx(expected)

    def test_early_stopping_waits_for_a_strictly_better_epoch(
        self, make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        values = iter([0.5, 0.7, 0.7, 0.6, 0.9, 0.9, 0.9, 0.9])
        monkeypatch.setattr(
            "softcam.training.loop.classification_metrics", lambda *_: {"auroc": next(values), "accuracy": 0.0}
        )
        config = make_config(optim={"epochs": 8}, run={"patience": 2})
        run = train(config, progress=False)
        assert [row["val_auroc"] for row in table(run)] == ["0.5", "0.7", "0.7", "0.6"]
        assert load_checkpoint(run).card.metrics["epoch"] == 2
        train(config, resume=True, progress=False)
        assert len(table(run)) == 4

    def test_a_metric_that_was_never_defined_keeps_no_model(
        self, make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("softcam.training.loop.classification_metrics", lambda *_: {"auroc": math.nan})
        with pytest.raises(SoftCAMError, match=r"^auroc of the validation images was undefined in every epoch"):
            train(make_config(), progress=False)

    def test_the_gap_head_says_what_it_does_not_use(
        self, make_config: MakeConfig, capsys: pytest.CaptureFixture[str]
    ) -> None:
        run = train(make_config(model={"head": Head.GAP, "stages": ("stage1",)}, optim={"epochs": 1}))
        said = capsys.readouterr().err
        assert said.count("head gap has no evidence maps: loss.l1, loss.mix, model.stages not used") == 1
        assert table(run)[0]["train_loss"] == table(run)[0]["train_classification"]
        assert load_checkpoint(run).card.stages is None

    def test_bf16_runs_after_fp32_in_one_process(self, make_config: MakeConfig, tmp_path: Path) -> None:
        losses = []
        for precision in (Precision.FP32, Precision.BF16, Precision.FP32):
            out = tmp_path / f"{precision}-{len(losses)}"
            config = make_config(optim={"precision": precision, "epochs": 1}, run={"out": out})
            losses.append(float(table(train(config, progress=False))[0]["train_loss"]))
        assert losses[0] == losses[2]
        assert losses[0] != losses[1] == pytest.approx(losses[0], rel=0.05)

    def test_channels_last_changes_the_layout_alone(self, make_config: MakeConfig, tmp_path: Path) -> None:
        plain = weights(train(make_config(run={"out": tmp_path / "a"}), progress=False))
        last = weights(train(make_config(optim={"channels_last": True}, run={"out": tmp_path / "b"}), progress=False))
        for name, value in plain.items():
            torch.testing.assert_close(last[name], value, rtol=1e-3, atol=1e-4)


class TestBadInput:
    def test_a_loss_that_is_not_finite_names_the_images_and_keeps_the_epoch_before(
        self, make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, manifest: Manifest
    ) -> None:
        original = Objective.__call__
        batches: list[Tensor] = []

        def call(self: Objective, model: Any, images: Tensor, targets: Tensor, step: int) -> Tensor:
            batches.append(images)
            terms = original(self, model, images, targets, step)
            return terms * math.nan if step == 6 else terms

        monkeypatch.setattr(Objective, "__call__", call)
        config = make_config(data={"augmentation": "none"})
        with pytest.raises(SoftCAMError) as error:
            train(config, progress=False)
        message = str(error.value)
        assert message.startswith("the loss is nan in epoch 2 at the images /")
        train_images = ManifestDataset(
            manifest.select(Split.TRAIN), plain_transform(config.data.preprocessing), Task.MULTICLASS
        )
        named = [
            sample.image for sample in train_images.manifest.samples if f"{sample.image}," in message.replace(";", ",")
        ]
        shown = [
            train_images.manifest.samples[item["index"]].image
            for item in train_images
            if any(torch.equal(item["image"], image) for image in batches[6])
        ]
        assert sorted(named) == sorted(shown)
        assert len(named) == 4
        assert [state.name for state in (config.run.out / "last").iterdir()] == ["epoch-0001"]
        assert load_checkpoint(config.run.out).card.metrics["epoch"] == 1

    @pytest.mark.parametrize("workers", [0, 1])
    def test_a_corrupt_image_is_one_sentence(self, make_config: MakeConfig, tmp_path: Path, workers: int) -> None:
        manifest = write_manifest(tmp_path / "images")
        broken = manifest.samples[2].image
        broken.write_bytes(broken.read_bytes()[:100])
        with pytest.raises(DataError) as error:
            train(make_config(data={"manifest": manifest.path, "workers": workers}), progress=False)
        assert str(broken) in str(error.value)
        assert "\n" not in str(error.value)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"optim": {"lr": 0.5}}, r"^optim.lr is 0.5, but .*run was started with 0.0003; keep it to resume"),
            ({"run": {"seed": 4}}, r"^run.seed is 4, but .*run was started with 0;"),
            ({"model": {"head": Head.GAP}}, r"^model.head is gap, but .*run was started with softcam;"),
        ],
    )
    def test_another_configuration_cannot_resume(
        self, make_config: MakeConfig, changes: dict[str, dict[str, Any]], message: str
    ) -> None:
        train(make_config(optim={"epochs": 1}), progress=False)
        with pytest.raises(ConfigError, match=message):
            train(make_config(**changes), resume=True, progress=False)

    def test_another_manifest_cannot_resume_but_the_same_elsewhere_can(
        self, make_config: MakeConfig, tmp_path: Path, manifest: Manifest
    ) -> None:
        train(make_config(optim={"epochs": 1}), progress=False)
        other = write_manifest(tmp_path / "other", train=18)
        with pytest.raises(ConfigError, match=r"manifest.csv is not the manifest that .*run was started with"):
            train(make_config(data={"manifest": other.path}), resume=True, progress=False)
        assert manifest.path is not None
        copy = manifest.path.with_name("copy.csv")
        copy.write_bytes(manifest.path.read_bytes())
        train(make_config(data={"manifest": copy}), resume=True, progress=False)

    def test_there_must_be_something_to_resume(self, make_config: MakeConfig) -> None:
        config = make_config()
        with pytest.raises(ConfigError) as error:
            train(config, resume=True, progress=False)
        assert str(error.value) == f"{config.run.out} holds no run to resume; correct --run.out, or leave out --resume"
        assert not config.run.out.exists()
