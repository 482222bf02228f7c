"""``softcam explain`` over a folder, beside the forward pass of the black box alone.

Images per second: the two take turns on the same machine; reading, drawing and writing are part of one, and the other
has its images in memory. Memory: the greatest that a process of its own held for few and for many images.

    python benchmarks/explain_folder.py --images 100 --many 5000 --out explain_folder.json
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from softcam.data.phantoms.options import PhantomKind, PhantomOptions
from softcam.data.phantoms.write import write_phantoms
from softcam.data.preprocessing import Preprocessing
from softcam.files import atomic_path
from softcam.model.backbones import build_backbone
from softcam.model.checkpoint import Checkpoint, Head, ModelCard
from softcam.model.convert import convert
from softcam.model.task import Task
from softcam.reporting.explain import explain_images
from softcam.reporting.selection import ExplainOptions


def make_models(backbone: str, size: int) -> tuple[torch.nn.Module, Checkpoint]:
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    black_box = build_backbone(backbone, num_classes=2).eval().to(device)
    preprocessing = Preprocessing((size, size)).to_dict()
    classes = ("healthy", "diseased")
    card = ModelCard(backbone, Head.SOFTCAM, classes, Task.MULTICLASS, preprocessing=preprocessing)
    return black_box, Checkpoint(convert(black_box), card)


def make_folder(kind: str, count: int, size: int, folder: Path) -> Path:
    """Phantoms; after the first hundred the same again under other names."""
    write_phantoms(PhantomOptions(PhantomKind(kind), size=size), min(count, 100), folder)
    images = sorted((folder / "images").iterdir())
    for number in range(len(images), count):
        os.link(images[number % len(images)], folder / "images" / f"again-{number:05d}.png")
    return folder / "images"


def forward_seconds(network: torch.nn.Module, batch: torch.Tensor, count: int) -> float:
    start = time.perf_counter()
    with torch.inference_mode():
        for first in range(0, count, len(batch)):
            network(batch[: min(len(batch), count - first)]).cpu()
    return time.perf_counter() - start


def explain_seconds(checkpoint: Checkpoint, images: Path, batch_size: int) -> float:
    with tempfile.TemporaryDirectory() as out:
        start = time.perf_counter()
        explain_images(checkpoint, [images], out, ExplainOptions(batch_size=batch_size))
        return time.perf_counter() - start


def compare(arguments: argparse.Namespace, images: Path) -> dict[str, float]:
    black_box, checkpoint = make_models(arguments.backbone, arguments.size)
    device = next(black_box.parameters()).device
    batch = torch.randn(arguments.batch_size, 3, arguments.size, arguments.size, device=device)
    forward_seconds(black_box, batch, len(batch))
    forward, explain = [], []
    for _ in range(arguments.rounds):
        forward.append(forward_seconds(black_box, batch, arguments.images))
        explain.append(explain_seconds(checkpoint, images, arguments.batch_size))
    rounds = [alone / whole for alone, whole in zip(forward, explain, strict=True)]
    return {
        "of_forward": statistics.median(rounds),
        "of_forward_worst": min(rounds),
        "explain_images_per_s": arguments.images / statistics.median(explain),
        "forward_images_per_s": arguments.images / statistics.median(forward),
    }


def peak_memory(arguments: argparse.Namespace, count: int) -> float:
    """MiB that explaining ``count`` images takes at most, in a process of its own."""
    flags = ("--only-memory", count, "--size", arguments.memory_size, "--batch-size", arguments.batch_size)
    command = [sys.executable, __file__, *map(str, flags), "--kind", arguments.kind]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return float(printed)


def explain_once(arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        images = make_folder(arguments.kind, arguments.only_memory, arguments.size, Path(folder) / "phantoms")
        _, checkpoint = make_models("resnet18", arguments.size)
        explain_seconds(checkpoint, images, arguments.batch_size)
    # not getrusage, whose peak begins with that of the process that started this one
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    print(int(status.partition("VmHWM:")[2].split()[0]) / 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--kind", default="fundus", choices=list(PhantomKind))
    parser.add_argument("--size", type=int, default=512, help="height and width in pixels")
    parser.add_argument("--images", type=int, default=32, help="images whose time is taken")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, help="of the forward pass; by default as torch has it")
    parser.add_argument("--few", type=int, default=100, help="images whose memory is compared (0 leaves it out)")
    parser.add_argument("--many", type=int, default=400, help="with this many")
    parser.add_argument("--memory-size", type=int, default=128, help="pixels of the images for the memory")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--only-memory", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    if arguments.only_memory:
        return explain_once(arguments)
    with tempfile.TemporaryDirectory() as folder:
        images = make_folder(arguments.kind, arguments.images, arguments.size, Path(folder) / "phantoms")
        row = compare(arguments, images)
    print("| × forward | worst round | explain, images/s | forward, images/s |\n|---:|---:|---:|---:|")
    print("| " + " | ".join(f"{value:.2f}" for value in row.values()) + " |")
    if arguments.few:
        few, many = (peak_memory(arguments, count) for count in (arguments.few, arguments.many))
        row |= {"few_mib": few, "many_mib": many}
        print(f"\nMemory: {few:.0f} MiB for {arguments.few} images, {many:.0f} MiB for {arguments.many}.")
    if arguments.out:
        settings = {name: value for name, value in vars(arguments).items() if isinstance(value, (int, str))}
        with atomic_path(arguments.out) as path:
            path.write_text(json.dumps({**settings, **row}, indent=2))
    return None


if __name__ == "__main__":
    main()
