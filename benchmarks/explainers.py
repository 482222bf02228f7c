"""What each explainer costs for one class, against the black box's forward pass, paired in the same run.

python benchmarks/explainers.py [--backbone resnet18] [--size 224] [--batch 1] [--methods softcam gradcam ...]
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable

import torch

from softcam.explainers import METHODS, build_explainer
from softcam.model.backbones import build_backbone

# methods of more forward passes than this are timed once
SLOW = 100


def seconds(call: Callable[[], object], device: str) -> float:
    start = time.perf_counter()
    call()
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def measure(method: str, backbone: str, size: int, batch: int, repeats: int, device: str) -> dict[str, object]:
    network = build_backbone(backbone, num_classes=2).eval().to(device)
    images = torch.randn(batch, 3, size, size, device=device)
    explainer = build_explainer(method, network, example=images)
    classes = torch.ones(batch, dtype=torch.int64, device=device)

    def forward() -> object:
        with torch.inference_mode():
            return network(images)

    passes = 0.0 if method in ("random", "uniform") else explainer(images[:1], classes[:1]).forward_passes
    seconds(forward, device)
    ratios = []
    for turn in range(1 if passes > SLOW else repeats):  # who goes first alternates: a drift of the machine cancels
        calls = {"ours": lambda: explainer(images, classes), "forward": forward}
        order = list(calls) if turn % 2 else list(reversed(calls))
        times = {name: seconds(calls[name], device) for name in order}
        ratios.append(times["ours"] / times["forward"])
    return {
        "method": method,
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "forward_passes": passes,
        "backbone": backbone,
        "size": size,
        "batch": batch,
        "device": device,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", help="write the figures to this file")
    args = parser.parse_args()
    rows = []
    for method in args.methods:
        row = measure(method, args.backbone, args.size, args.batch, args.repeats, args.device)
        rows.append(row)
        low, high = min(row["ratios"]), max(row["ratios"])  # type: ignore[call-overload]
        measured = f"{row['ratio']:8.2f} × forward ({low:.2f} to {high:.2f})"
        print(f"{method:26s} {measured}; counted {row['forward_passes']:.0f}", flush=True)
    if args.json:
        with open(args.json, "w") as file:  # noqa: PTH123
            json.dump({"machine": platform.processor(), "rows": rows}, file, indent=2)


if __name__ == "__main__":
    main()
