"""Run by test_streaming.py in two processes: each sees its share of the images, rank 0 prints the results."""

from __future__ import annotations

import json
import sys

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.functional import avg_pool2d

from softcam.metrics import (
    ActivationPrecision,
    Completeness,
    Deletion,
    Insertion,
    IoU,
    Locality,
    MaxSensitivity,
    PointingGame,
    ThresholdSearch,
    TopKPrecision,
)


def images_of(rank: int) -> slice:
    """Deal the images out unevenly, and to rank 1 the only one without an annotation."""
    return (slice(0, 2), slice(2, 7))[rank]


def batch() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(7)
    maps = torch.randn(7, 12, 12, generator=generator)
    masks = torch.rand(7, 12, 12, generator=generator) < 0.1
    masks[:, 0, 0], masks[4] = True, False
    return maps, masks, torch.randn(7, 1, 8, 8, generator=generator)


def hazy(images: Tensor) -> Tensor:
    """Evidence that is half local and half the image's mean."""
    return avg_pool2d(images, 2) + images.mean(dim=(2, 3), keepdim=True)


def brightness(images: Tensor) -> Tensor:
    """Probability of a bright image."""
    return images.mean(dim=(2, 3)).sigmoid()


def results(parts: list[slice]) -> dict[str, object]:
    maps, masks, images = batch()
    metrics = {
        "precision": ActivationPrecision(),
        "pointing": PointingGame(),
        "topk": TopKPrecision(k=3, side=3),
        "iou": IoU(0.5),
        "threshold": ThresholdSearch(),
    }
    removals = {"deletion": Deletion(patch=2, steps=4), "insertion": Insertion(patch=2, steps=4)}
    others = {"completeness": Completeness(), "sensitivity": MaxSensitivity(draws=2)}
    for part in parts:
        for metric in metrics.values():
            metric.update(maps[part], masks[part])
        for removal in removals.values():
            removal.update(brightness, images[part], maps[part, :8, :8])
        others["completeness"].update(maps[part][:, None], images[part].mean(dim=(2, 3)))
        others["sensitivity"].update(lambda inputs: hazy(inputs)[:, 0], images[part])
    return {name: metric.compute().tolist() for name, metric in {**metrics, **removals, **others}.items()}


def locality_of(part: slice) -> Locality:
    metric = Locality()
    metric.update(hazy, batch()[2][part])
    return metric


if __name__ == "__main__":
    meeting_point, rank = sys.argv[1], int(sys.argv[2])
    dist.init_process_group("gloo", init_method=f"file://{meeting_point}", rank=rank, world_size=2)
    computed = results([images_of(rank)]) | {"locality": locality_of(images_of(rank)).compute().item()}
    if rank == 0:
        print(json.dumps(computed))
    dist.destroy_process_group()
