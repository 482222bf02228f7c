"""The files in configs/ against the table of the published recipes (Djoumessi & Berens, MIDL 2026)."""

from __future__ import annotations

from pathlib import Path

import pytest

from softcam.cli import main
from softcam.data.preprocessing import PREPROCESSINGS
from softcam.losses import Convention
from softcam.model.checkpoint import Head
from softcam.training.config import Calibration, Monitor, Optimizer, Precision, TrainConfig

CONFIGS = Path(__file__).resolve().parents[2] / "configs"

L1 = {
    ("fundus", "resnet50"): 5e-5,
    ("fundus", "vgg16"): 1e-6,
    ("oct", "resnet50"): 9e-4,
    ("oct", "vgg16"): 3e-6,
    ("rsna", "resnet50"): 1e-3,
    ("rsna", "vgg16"): 5e-5,
}
L2 = {("fundus", "resnet50"): 7e-5, ("fundus", "vgg16"): 2e-4}
DEFAULT_L2 = 4e-5  # of the authors' code, where the paper gives none
KINDS = {"fundus": "fundus", "oct": "oct", "rsna": "chest"}


class CapturedError(Exception):
    """Carries what `softcam train` would have trained."""

    def __init__(self, config: TrainConfig) -> None:
        self.config = config


def read(path: Path, *flags: str) -> TrainConfig:
    """Read a file as `softcam train --config FILE --manifest manifest.csv` does."""

    def capture(config: TrainConfig, *, resume: bool) -> Path:
        raise CapturedError(config)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(CapturedError) as captured:
        patch.setattr("softcam.cli.train.run_training", capture)
        main(["train", "--config", str(path), "--manifest", "manifest.csv", *flags])
    return captured.value.config


PUBLISHED = [
    (data, backbone, variant)
    for data in ("fundus", "oct", "rsna")
    for backbone in ("resnet50", "vgg16")
    for variant in ("dense", "sparse", "ridge")
]


def test_there_is_one_file_per_recipe() -> None:
    names = {path.stem for path in (CONFIGS / "published").iterdir()}
    assert names == {"-".join(recipe) for recipe in PUBLISHED}


@pytest.mark.parametrize(("data", "backbone", "variant"), PUBLISHED)
def test_a_file_says_what_was_published(data: str, backbone: str, variant: str) -> None:
    config = read(CONFIGS / "published" / f"{data}-{backbone}-{variant}.yaml")
    assert config.data.preprocessing == PREPROCESSINGS[KINDS[data]]
    assert config.data.augmentation == KINDS[data]
    assert (config.model.backbone, config.model.weights) == (backbone, "imagenet")
    assert (config.model.head, config.model.stages) == (Head.SOFTCAM, None)

    loss = config.loss
    assert (loss.convention, loss.mix, loss.class_weights) == (Convention.PAPER, 0, False)
    assert loss.l1 == (L1[data, backbone] if variant == "sparse" else 0)
    assert loss.l2 == (L2.get((data, backbone), DEFAULT_L2) if variant == "ridge" else 0)

    optim = config.optim
    assert (optim.optimizer, optim.momentum, optim.nesterov) == (Optimizer.SGD, 0.9, True)
    assert (optim.lr, optim.min_lr, optim.weight_decay) == (1e-3, 1e-4, 5e-4)
    assert (optim.epochs, optim.warmup_epochs, optim.clip_norm) == (50, 0, None)
    assert 12 <= optim.batch_size <= 16
    assert (optim.precision, optim.accumulation, optim.balanced_sampling) == (Precision.FP32, 1, False)
    assert (config.run.monitor, config.run.patience) == (Monitor.ACCURACY, None)
    assert config.run.calibration is Calibration.NONE
    assert config.run.out == Path("runs", f"{data}-{backbone}-{variant}")


@pytest.mark.parametrize("kind", ["fundus", "oct", "chest"])
def test_our_own_recipes_ask_for_sparse_and_local_evidence(kind: str) -> None:
    config = read(CONFIGS / f"{kind}.yaml")
    assert config.data.preprocessing == PREPROCESSINGS[kind]
    assert config.loss.convention is Convention.MEAN
    assert config.loss.l1 > 0
    assert config.loss.mix > 0
    assert config.model.stages is not None
    assert config.run.calibration is Calibration.TEMPERATURE


def test_flags_come_after_the_file_and_the_black_box_is_one_flag_away() -> None:
    path = CONFIGS / "published" / "oct-vgg16-sparse.yaml"
    config, black_box = read(path), read(path, "--head", "gap", "--out", "elsewhere", "--size", "64,32")
    assert (black_box.model.head, black_box.run.out, black_box.data.size) == (Head.GAP, Path("elsewhere"), (64, 32))
    assert (black_box.optim, black_box.loss) == (config.optim, config.loss)
