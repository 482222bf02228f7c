"""Deletion and insertion against as many bare forward passes, and against Quantus' pixel flipping where installed.

python benchmarks/faithfulness.py [--backbone resnet18] [--size 224] [--batch 8] [--steps 30] [--json OUT]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import platform
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from softcam.metrics import deletion, insertion
from softcam.metrics.faithfulness import deletion_curves
from softcam.model.backbones import build_backbone

LIMIT = 1.15
HAS_QUANTUS = importlib.util.find_spec("quantus") is not None


def seconds(call: Callable[[], object], device: str) -> float:
    start = time.perf_counter()
    call()
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def paired(calls: dict[str, Callable[[], object]], repeats: int, device: str) -> dict[str, list[float]]:
    """Time all in turn after a warm-up; who goes first rotates, so that a drift of the machine cancels."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    names = list(calls)
    seconds(calls[names[0]], device)
    for turn in range(repeats):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            times[name].append(seconds(calls[name], device))
    return times


def flips_of(image: Tensor, steps: int) -> int:
    """Return the number of values that Quantus can flip at a time so that it takes ``steps`` steps, or a few more."""
    pixels, values = image[0].numel(), image.numel()
    return max(flips for flips in range(1, pixels + 1) if pixels % flips == 0 and values // flips >= steps)


def pixel_flipping(network: nn.Module, images: Tensor, maps: Tensor, flips: int) -> list[list[float]]:
    """Quantus' curves; they start at the second point of ours, and end when every value is 0."""
    import quantus

    flipping = quantus.PixelFlipping(
        features_in_step=flips,
        normalise=False,
        perturb_baseline=0.0,
        disable_warnings=True,
    )
    logits = network(images)
    curves: list[list[float]] = flipping(
        model=network,
        x_batch=images.cpu().numpy(),
        y_batch=logits.argmax(dim=1).cpu().numpy(),
        a_batch=maps.unsqueeze(1).cpu().numpy(),
        device=str(images.device),
        batch_size=len(images),
        channel_first=True,
    )
    return curves


def difference_to_quantus() -> float:
    """Largest difference between the curves where the two do the same: one channel, one pixel a step, black."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 3)).eval()
    images, maps = torch.randn(4, 1, 8, 8), torch.randn(4, 8, 8)
    with torch.no_grad():
        decided = network(images).argmax(dim=1)
        theirs = torch.tensor(pixel_flipping(network, images, maps, flips=1))

    def probability(altered: Tensor) -> Tensor:
        return network(altered).softmax(dim=1).gather(1, decided[:, None])[:, 0]

    ours = deletion_curves(probability, images, maps, torch.zeros_like(images), patch=1, steps=64)
    return (ours[:, 1:] - theirs).abs().max().item()


def measure(backbone: str, size: int, batch: int, steps: int, repeats: int, device: str) -> list[dict[str, object]]:
    network = build_backbone(backbone, num_classes=2).eval().to(device)
    images = torch.randn(batch, 3, size, size, device=device)
    maps = torch.randn(batch, size, size, device=device)

    def classify(altered: Tensor) -> Tensor:
        return network(altered).softmax(dim=1)

    def bare() -> None:
        for _ in range(steps):
            network(images)

    calls: dict[str, Callable[[], object]] = {
        "bare": bare,
        "deletion": lambda: deletion(classify, images, maps, steps=steps),
        "insertion": lambda: insertion(classify, images, maps, steps=steps),
    }
    passes = dict.fromkeys(calls, steps)
    if HAS_QUANTUS:
        flips = flips_of(images[0], steps)
        calls["quantus"] = lambda: pixel_flipping(network, images, maps, flips)
        passes["quantus"] = images[0].numel() // flips
    with torch.inference_mode():
        times = paired(calls, repeats, device)
    setting = {"backbone": backbone, "size": size, "batch": batch, "device": device}
    shares = {name: count / steps for name, count in passes.items()}
    return [
        {
            **setting,
            "method": name,
            "steps": passes[name],
            "ratios": [took / base / shares[name] for took, base in zip(times[name], times["bare"], strict=True)],
            "seconds": statistics.median(times[name]),
            "bare_seconds": statistics.median(times["bare"]) * shares[name],
        }
        for name in times
        if name != "bare"
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", help="write the figures to this file")
    args = parser.parse_args()
    rows = measure(args.backbone, args.size, args.batch, args.steps, args.repeats, args.device)
    print(f"{args.backbone} {args.size} px, batch {args.batch}, {args.steps} steps, {args.device}; limit {LIMIT}")
    for row in rows:
        ratios: list[float] = row["ratios"]  # type: ignore[assignment]
        row["ratio"] = statistics.median(ratios)
        print(
            f"{row['method']:10s} {row['ratio']:.3f} × {row['steps']} forward passes "
            f"({min(ratios):.3f} to {max(ratios):.3f}); {row['seconds']:.2f} s"
        )
    difference = difference_to_quantus() if HAS_QUANTUS else None
    print(
        "Quantus is not installed: its pixel flipping is left out (pip install quantus)"
        if difference is None
        else f"largest difference to Quantus' curves, pixel by pixel: {difference:.1e}"
    )
    if args.json:
        with open(args.json, "w") as file:  # noqa: PTH123
            results = {"machine": platform.processor(), "rows": rows, "difference_to_quantus": difference}
            json.dump(results, file, indent=2)


if __name__ == "__main__":
    main()
