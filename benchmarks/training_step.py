"""What a training step of a SoftCAM costs, beside that of the black box it comes from.

Forward, loss, backward and optimizer step on one batch that stays the same. All variants take turns within a round,
in an order that rotates, and the ratio is taken within each round, so that all meet the same machine. Prints a
table and writes JSON with ``--out``.

    python benchmarks/training_step.py --backbone resnet50 --size 224 --batch 8 --out training_step.json
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from softcam.files import atomic_path
from softcam.model.checkpoint import Head
from softcam.model.evidence import SoftCAM
from softcam.model.task import Task
from softcam.training.config import LossConfig, ModelConfig, OptimConfig
from softcam.training.network import build_network
from softcam.training.objective import Criterion, Objective
from softcam.training.run import make_optimizer

BLACK_BOX = "black box"
LOSSES = {
    "SoftCAM, dense": LossConfig(l1=0.0, mix=0.0),
    "SoftCAM, ElasticNet": LossConfig(l1=0.02, l2=0.02, mix=0.0),
    "SoftCAM, + mix": LossConfig(),  # a step with mixed images; with mix_every n the others are as without
}
CLASSES = 2

Step = Callable[[], None]


def make_step(backbone: str, penalties: LossConfig | None, batch: int, size: int, device: torch.device) -> Step:
    """Return a function that makes one step on the same random batch each time."""
    head = Head.GAP if penalties is None else Head.SOFTCAM
    config = ModelConfig(backbone, weights=None, head=head)
    network = build_network(config, num_outputs=CLASSES, in_channels=3, task=Task.MULTICLASS, seed=0).network
    map_size = network.map_size(size, size) if isinstance(network, SoftCAM) else ()
    objective = Objective(Criterion(Task.MULTICLASS), penalties, map_size)
    network.to(device)
    optimizer = make_optimizer(network, OptimConfig())
    images = torch.randn(batch, 3, size, size, device=device)
    targets = torch.arange(batch, device=device) % CLASSES

    def step() -> None:
        loss = objective(network, images, targets, step=0)[0]
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()

    return step


def seconds(step: Step, device: torch.device) -> float:
    synchronize(device)
    start = time.perf_counter()
    step()
    synchronize(device)
    return time.perf_counter() - start


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def measure(steps: dict[str, Step], rounds: int, device: torch.device) -> dict[str, list[float]]:
    """Time each step once per round; the one that begins a round changes from round to round."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    names = list(steps)
    for name in names:
        steps[name]()
    for number in range(rounds):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            times[name].append(seconds(steps[name], device))
    return times


def summarize(times: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    base = times[BLACK_BOX]
    rows = {}
    for name, values in times.items():
        ratios = [ours / theirs for ours, theirs in zip(values, base, strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        rows[name] = {"ratio": middle, "low": low, "high": high, "seconds": statistics.median(values)}
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    gpu = torch.cuda.is_available()
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--size", type=int, default=512 if gpu else 224, help="height and width in pixels")
    parser.add_argument("--batch", type=int, default=16 if gpu else 4)
    parser.add_argument("--rounds", type=int, default=100 if gpu else 12)
    parser.add_argument("--out", type=Path, help="JSON file to write")
    arguments = parser.parse_args()

    device = torch.device("cuda" if gpu else "cpu")
    variants: dict[str, LossConfig | None] = {BLACK_BOX: None, **LOSSES}
    steps = {
        name: make_step(arguments.backbone, penalties, arguments.batch, arguments.size, device)
        for name, penalties in variants.items()
    }
    rows = summarize(measure(steps, arguments.rounds, device))

    print(
        f"{arguments.backbone}, {arguments.size} px, batch {arguments.batch}, {arguments.rounds} rounds, {device.type}"
    )
    print(f"{os.cpu_count()} cores, {torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}\n")
    print("| training step | × black box, median | middle half | s per step |")
    print("|---|---:|---:|---:|")
    for name, row in rows.items():
        print(f"| {name} | {row['ratio']:.3f} | {row['low']:.3f} to {row['high']:.3f} | {row['seconds']:.4f} |")
    if arguments.out:
        facts = {name: value for name, value in vars(arguments).items() if name != "out"} | {"device": device.type}
        with atomic_path(arguments.out) as path:
            path.write_text(json.dumps(facts | {"rows": rows}, indent=2))


if __name__ == "__main__":
    main()
