"""The whole of softcam on generated images: phantoms, three networks, their measurement, one report."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import softcam
from softcam.data.augmentation import Augmentation
from softcam.data.manifest import Manifest, Split
from softcam.data.phantoms import PhantomKind, PhantomOptions, write_phantoms
from softcam.errors import ConfigError
from softcam.evaluation.evaluate import evaluate
from softcam.evaluation.result import Evaluation
from softcam.evaluation.write import EVALUATION_FILE, read_evaluation, write_evaluation
from softcam.files import atomic_path
from softcam.losses import Convention
from softcam.model.checkpoint import Head, load_checkpoint
from softcam.reporting.measured import NamedRun
from softcam.reporting.report import write_report
from softcam.reporting.summary import counted
from softcam.training.config import DataConfig, LossConfig, ModelConfig, Monitor, OptimConfig, RunConfig, TrainConfig
from softcam.training.history import History
from softcam.training.loop import train
from softcam.training.state import CONFIG_FILE, RunFolder

RECIPE_FILE = "demo.json"
REPORT_FILE = "report.html"


@dataclass(frozen=True)
class DemoNetwork:
    """One of the networks that the demo trains and compares.

    Attributes:
        name: As the report calls it.
        folder: Name of its run folder.
        model: The network.
        loss: What it is trained to do.
        epochs: Passes over the training images.
    """

    name: str
    folder: str
    model: ModelConfig
    loss: LossConfig
    epochs: int


_BLACK_BOX = DemoNetwork(
    name="Black box",
    folder="black-box",
    model=ModelConfig("resnet18", weights=None, head=Head.GAP),
    loss=LossConfig(l1=0, mix=0),
    epochs=3,
)
_AS_PUBLISHED = DemoNetwork(
    name="Published SoftCAM",
    folder="published",
    model=ModelConfig("resnet18", weights=None),
    # the published 5e-5 for sums over 2 · 16 · 16 cells, carried over to the 2 · 4 · 4 cells of these images
    loss=LossConfig(l1=5e-5 * 256 / 16, convention=Convention.PAPER, mix=0),
    epochs=3,
)
_OURS = DemoNetwork(
    name="Local SoftCAM",
    folder="local",
    model=ModelConfig("resnet18", weights=None, stages=("layer1", "layer2")),
    loss=LossConfig(l1=0.02, mix=1.0, mix_fraction=0.5, mix_warmup_epochs=0),
    epochs=5,
)


_FUNDUS = PhantomOptions(PhantomKind.FUNDUS, size=128, lesion_size=1.5)
_FLIPS = Augmentation(horizontal_flip=0.5, vertical_flip=0.5)
_OPTIM = OptimConfig(lr=1e-3, warmup_epochs=0.6, batch_size=32, channels_last=True)


@dataclass(frozen=True)
class DemoRecipe:
    """What the demo draws, trains and shows.

    Attributes:
        phantoms: The images.
        images: How many.
        fractions: Shares of train, val and test.
        mean: Mean of each channel of the images, for normalisation.
        std: Standard deviation of each channel.
        augmentation: Random changes to training images.
        optim: How every network is trained, but for its epochs.
        networks: The networks; differences are taken to the first, cases sorted by the last.
        title: Head of the report.
    """

    phantoms: PhantomOptions = _FUNDUS
    images: int = 1600
    fractions: tuple[float, float, float] = (0.625, 0.09375, 0.28125)
    mean: tuple[float, ...] = (0.512, 0.251, 0.117)
    std: tuple[float, ...] = (0.357, 0.184, 0.090)
    augmentation: Augmentation = _FLIPS
    optim: OptimConfig = _OPTIM
    networks: tuple[DemoNetwork, ...] = (_BLACK_BOX, _AS_PUBLISHED, _OURS)
    title: str = "What three networks saw in generated fundus images"

    def config(self, network: DemoNetwork, manifest: Path, runs: Path, seed: int) -> TrainConfig:
        """Return the configuration of one training run."""
        data = DataConfig(
            manifest=manifest,
            size=self.phantoms.size,
            mean=self.mean,
            std=self.std,
            augmentation=self.augmentation,
            workers=0,  # two cores are busy with the network
        )
        return TrainConfig(
            data=data,
            model=network.model,
            loss=network.loss,
            optim=replace(self.optim, epochs=network.epochs),
            # not auroc: it reaches 1 epochs before the evidence has settled
            run=RunConfig(out=runs / network.folder, seed=seed, monitor=Monitor.LOSS),
        )


DEMO = DemoRecipe()
"""The demo: three networks, under five minutes on two cores."""


@dataclass(frozen=True)
class DemoResult:
    """What a demo leaves behind.

    Attributes:
        report: The page to open.
        evaluations: What each network is worth, by its name.
    """

    report: Path
    evaluations: dict[str, Evaluation]


def run_demo(
    out: str | Path, *, seed: int = 0, recipe: DemoRecipe = DEMO, say: Callable[[str], None] = print
) -> DemoResult:
    """Draw phantoms, train the networks, measure them and write the report.

    What an interrupted demo has finished in the same folder is taken over.

    Args:
        out: Folder for all of it: ``data/``, ``runs/`` and ``report.html``.
        seed: Of the phantoms and the trainings.
        recipe: What is drawn and trained.
        say: Receives a line about each part.

    Returns:
        The report and the evaluations.

    Raises:
        ConfigError: The folder holds a demo of another seed or recipe.
        DataError: The folder for the phantoms holds something else.
    """
    out = Path(out)
    _claim(out, recipe, seed)
    with _timed(say, f"{recipe.images} {recipe.phantoms.kind} phantoms"):
        manifest = prepare_data(out, recipe, seed)
    configs = [recipe.config(network, _csv(manifest), out / "runs", seed) for network in recipe.networks]
    runs = []
    for network, config in zip(recipe.networks, configs, strict=True):
        with _timed(say, f"{network.name}: {counted(network.epochs, 'epoch')}"):
            runs.append(NamedRun(network.name, train_network(config)))
    evaluations = {}
    for run in runs:
        with _timed(say, f"{run.name}: evaluation"):
            evaluations[run.name] = evaluate_run(run.path, manifest)
    with _timed(say, "report"):
        report = write_report(
            runs, manifest, out=out / REPORT_FILE, title=recipe.title, evaluations=list(evaluations.values())
        )
    return DemoResult(report, evaluations)


def prepare_data(out: Path, recipe: DemoRecipe, seed: int) -> Manifest:
    """Draw the phantoms, or take those that an interrupted demo has drawn."""
    path = out / "data" / "manifest.csv"
    if path.is_file():
        return Manifest.read(path)
    return write_phantoms(recipe.phantoms, recipe.images, path.parent, seed, fractions=recipe.fractions)


def train_network(config: TrainConfig) -> Path:
    """Train a network, go on with it where it was interrupted, or take it as it is where it has finished."""
    folder = RunFolder(config.run.out)
    begun = (folder.path / CONFIG_FILE).is_file()
    if begun and folder.model.is_dir() and folder.metrics.is_file():
        finished = len(History.read(folder.metrics, config.run.monitor))
        if finished == config.optim.epochs:
            return folder.path
    return train(config, resume=begun)


def evaluate_run(run: Path, manifest: Manifest) -> Evaluation:
    """Evaluate a network on the test images, or read what an earlier call has found."""
    if (run / EVALUATION_FILE).is_file():
        found = read_evaluation(run)
        if found.predictions.images == tuple(str(sample.image) for sample in manifest.select(Split.TEST).samples):
            return found
    evaluation = evaluate(load_checkpoint(run), manifest, split=Split.TEST, batch_size=32)
    write_evaluation(evaluation, run)
    return evaluation


def _claim(out: Path, recipe: DemoRecipe, seed: int) -> None:
    """Note what the folder is for, or check that it is for the same."""
    path = out / RECIPE_FILE
    told = json.dumps({"softcam": softcam.__version__, "seed": seed, **asdict(recipe)}, indent=2, default=str) + "\n"
    if not path.is_file():
        with atomic_path(path) as temporary:
            temporary.write_text(told, encoding="utf-8")
    elif path.read_text(encoding="utf-8") != told:
        raise ConfigError(f"{out} holds a demo of another seed, recipe or version; name another folder, or remove it")


def _csv(manifest: Manifest) -> Path:
    assert manifest.path is not None, "phantoms are read from their file"
    return manifest.path


@contextmanager
def _timed(say: Callable[[str], None], part: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    say(f"{part}: {time.perf_counter() - began:.1f} s")
