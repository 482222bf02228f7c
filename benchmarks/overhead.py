"""Predict and explain all classes against the black box's forward pass alone: what an explanation costs.

python benchmarks/overhead.py [--backbone resnet50] [--size 512] [--repeats 7]
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch

import softcam
from softcam.model.backbones import build_backbone


def paired_ratios(
    ours: Callable[[], object], theirs: Callable[[], object], repeats: int, device: str
) -> tuple[list[float], float]:
    """Time both in turn after a warm-up; return the ratio of each pair and the median seconds of ``theirs``."""

    def seconds(call: Callable[[], object]) -> float:
        start = time.perf_counter()
        call()
        if device != "cpu":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    seconds(ours), seconds(theirs)
    pairs = []
    for turn in range(repeats):  # who goes first alternates, so that a drift of the machine cancels
        order = (ours, theirs) if turn % 2 else (theirs, ours)
        times = {call: seconds(call) for call in order}
        pairs.append((times[ours] / times[theirs], times[theirs]))
    return [ratio for ratio, _ in pairs], statistics.median(second for _, second in pairs)


def measure(backbone: str, size: int, batch: int, repeats: int, device: str) -> dict[str, object]:
    network = build_backbone(backbone, num_classes=2).eval().to(device)
    model = softcam.convert(network)
    images = torch.randn(batch, 3, size, size, device=device)
    with torch.inference_mode():
        ratios, base = paired_ratios(
            lambda: model.explain(images).upsample(size).contrast(), lambda: network(images), repeats, device
        )
    return {
        "backbone": backbone,
        "size": size,
        "batch": batch,
        "device": device,
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "black_box_seconds": base,
    }


def import_seconds() -> float:
    """Return the median time that ``import softcam`` takes on top of starting Python."""

    def run(code: str) -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - start

    return statistics.median(run("import softcam") - run("pass") for _ in range(5))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", help="write the figures to this file")
    args = parser.parse_args()
    rows = [measure(args.backbone, args.size, batch, args.repeats, args.device) for batch in args.batches]
    for row in rows:
        low, high = min(row["ratios"]), max(row["ratios"])  # type: ignore[call-overload]
        print(
            f"{row['backbone']} {row['size']} px, batch {row['batch']}, {row['device']}: explain all classes / forward "
            f"{row['ratio']:.3f} ({low:.3f} to {high:.3f}); forward {row['black_box_seconds']:.3f} s"
        )
    seconds = import_seconds()
    print(f"import softcam: {seconds:.3f} s")
    if args.json:
        with open(args.json, "w") as file:  # noqa: PTH123
            json.dump({"machine": platform.processor(), "rows": rows, "import_seconds": seconds}, file, indent=2)


if __name__ == "__main__":
    main()
