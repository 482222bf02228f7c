"""``softcam serve`` under load: many clients at once, each sending images as fast as they are answered.

The viewer runs in a process of its own, as people start it. Reported are answers per second, how long the middle one
and the slowest of twenty waited, errors, and the memory of the viewer and of the processes that decode for it, after a
warm-up, halfway and at the end.

    python benchmarks/serve.py --clients 50 --seconds 60 --out serve.json
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import torch

from softcam.data.phantoms.options import PhantomKind, PhantomOptions
from softcam.data.phantoms.write import write_phantoms
from softcam.data.preprocessing import Preprocessing
from softcam.files import atomic_path
from softcam.model.backbones import build_backbone
from softcam.model.checkpoint import Head, ModelCard, save_checkpoint
from softcam.model.convert import convert
from softcam.model.task import Task


@dataclass
class Load:
    """What the clients saw."""

    statuses: Counter[int] = field(default_factory=Counter)
    waits: list[float] = field(default_factory=list)


def write_model(backbone: str, size: int, folder: Path) -> Path:
    torch.manual_seed(0)
    model = convert(build_backbone(backbone, num_classes=2).eval())
    preprocessing = Preprocessing((size, size)).to_dict()
    card = ModelCard(backbone, Head.SOFTCAM, ("healthy", "sick"), Task.MULTICLASS, preprocessing=preprocessing)
    save_checkpoint(model, card, folder / "model")
    return folder / "model"


@contextmanager
def serving(model: Path) -> Iterator[tuple[str, int]]:
    """Start the viewer and yield its address and process number."""
    command = [sys.executable, "-m", "softcam", "serve", str(model), "--port", "0", "--json", "--limit", "10"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        printed = "".join(iter(process.stdout.readline, "}\n")) + "}"
        yield json.loads(printed)["address"], process.pid
    finally:
        process.terminate()
        process.wait(60)


def memory(pid: int) -> float:
    """MiB that a process and those below it have taken; what they share, as after a fork, is counted once.

    Pages of files, such as the libraries, are left out: what of them is counted depends on other processes.
    """
    total = 0
    for each in _family(pid):
        lines = Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()
        total += next(int(line.split()[1]) for line in lines if line.startswith("Pss_Anon:"))
    return total / 1024


def _family(pid: int) -> list[int]:
    below = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in below for each in _family(int(child)))]


async def send(client: httpx.AsyncClient, images: Sequence[bytes], first: int, end: float, load: Load) -> None:
    number = first
    while time.perf_counter() < end:
        start = time.perf_counter()
        try:
            status = (await client.post("/api/explain", content=images[number % len(images)])).status_code
        except httpx.HTTPError:
            status = 0
        load.waits.append(time.perf_counter() - start)
        load.statuses[status] += 1
        number += 1


async def press(address: str, images: Sequence[bytes], clients: int, seconds: float) -> Load:
    load, limits = Load(), httpx.Limits(max_connections=clients)
    async with httpx.AsyncClient(base_url=address, timeout=60, limits=limits, trust_env=False) as client:
        while (await client.get("/api/session")).status_code != 200:
            await asyncio.sleep(0.1)
        end = time.perf_counter() + seconds
        await asyncio.gather(*(send(client, images, number, end, load) for number in range(clients)))
    return load


def wait_until_up(address: str) -> None:
    for _ in range(1200):
        try:
            httpx.get(f"{address}api/session", trust_env=False)
            return
        except httpx.HTTPError:
            time.sleep(0.1)
    raise SystemExit("the viewer does not start")


def measure(arguments: argparse.Namespace) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_phantoms(PhantomOptions(PhantomKind.CHEST, size=arguments.image_size), 20, folder)
        images = [path.read_bytes() for path in sorted((folder / "images").iterdir())]
        model = write_model(arguments.backbone, arguments.size, folder)
        with serving(model) as (address, pid):
            wait_until_up(address)
            asyncio.run(press(address, images, arguments.clients, arguments.warm_up))
            before = memory(pid)
            half = asyncio.run(press(address, images, arguments.clients, arguments.seconds / 2))
            halfway = memory(pid)
            load = asyncio.run(press(address, images, arguments.clients, arguments.seconds / 2))
            after = memory(pid)
    load = Load(half.statuses + load.statuses, half.waits + load.waits)
    waits = sorted(load.waits)
    return {
        **{key: value for key, value in vars(arguments).items() if key != "out"},
        "cores": os.cpu_count(),
        "answers": load.statuses[200],
        "errors": sum(load.statuses.values()) - load.statuses[200],
        "statuses": dict(load.statuses),
        "answers_per_second": load.statuses[200] / arguments.seconds,
        "median_ms": 1000 * statistics.median(waits),
        "p95_ms": 1000 * waits[int(0.95 * (len(waits) - 1))],
        "memory_before_mib": before,
        "memory_halfway_mib": halfway,
        "memory_after_mib": after,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--warm-up", type=float, default=20)
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--size", type=int, default=224, help="height and width of the network's input")
    parser.add_argument("--image-size", type=int, default=512, help="height and width of the images sent")
    parser.add_argument("--out", type=Path, help="write the numbers as JSON")
    arguments = parser.parse_args()
    found = measure(arguments)
    for name, value in found.items():
        print(f"{name:20} {value:.1f}" if isinstance(value, float) else f"{name:20} {value}")
    if arguments.out:
        with atomic_path(arguments.out) as path:
            path.write_text(json.dumps(found, indent=2, default=str) + "\n")


if __name__ == "__main__":
    main()
