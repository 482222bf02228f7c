"""A network as a ``torch.export`` program: a file that torch runs without softcam."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from softcam.data.preprocessing import Preprocessing
from softcam.delivery.agreement import Network, generated_batches
from softcam.delivery.outputs import INPUT, ExportedNetwork
from softcam.errors import ConversionError

METADATA_FILE = "softcam.json"
"""Name of the metadata among the extra files of the program."""


def trace(network: ExportedNetwork, preprocessing: Preprocessing) -> ExportedProgram:
    """Turn a network into a program in which batch, height and width of the images are free.

    Args:
        network: In eval mode, on the CPU.
        preprocessing: What it asks of images.

    Returns:
        The program; nothing in it tells where on this machine it was made.

    Raises:
        ConversionError: torch cannot follow the network, or not with free sizes.
    """
    example = generated_batches(preprocessing)[-1]
    free = {INPUT: {0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC}}
    try:
        with quiet(), torch.no_grad():
            program = torch.export.export(network, (example,), dynamic_shapes=free, strict=False)
    except Exception as error:  # of torch's tracer, by whatever the network's code does
        reason = str(error).strip().partition("\n")[0]
        raise ConversionError(
            f"torch.export cannot follow the network with images of any size ({reason}); use another backbone"
        ) from error
    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            for node in module.graph.nodes:
                node.meta.pop("stack_trace", None)  # has paths of this machine
    return program


def write_torch(program: ExportedProgram, metadata: Mapping[str, str], path: Path) -> None:
    """Write a program, with the metadata as JSON in its extra file `METADATA_FILE`.

    Args:
        program: From `trace`.
        metadata: What to write beside it.
        path: The file.
    """
    with path.open("wb") as file, quiet():
        torch.export.save(program, file, extra_files={METADATA_FILE: json.dumps(metadata, ensure_ascii=False)})


def open_torch(path: Path) -> Network:
    """Load a program, without softcam's help: what this does is what any user of the file does."""
    with path.open("rb") as file, quiet():
        program = torch.export.load(file).module()

    def run(images: Tensor) -> Mapping[str, Tensor]:
        with torch.no_grad():
            outputs: Mapping[str, Tensor] = program(images)
        return outputs

    return run


@contextmanager
def quiet() -> Iterator[None]:
    """Keep to itself what torch's exporter says along the way: reports of its own inner doings, with tracebacks."""
    loggers = [logging.getLogger(name) for name in ("torch.fx", "torch.export", "torch._export", "torch.onnx")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
