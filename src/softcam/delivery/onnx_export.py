"""A network written as an ONNX file."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from softcam import __version__
from softcam.delivery.extras import need
from softcam.delivery.outputs import INPUT, Output
from softcam.delivery.torch_export import quiet
from softcam.errors import ConversionError

OPSET = 18
"""Of the files: what PyTorch's exporter writes without converting, and ONNX Runtime reads since 1.14 (2023)."""

_LARGEST = 2**31 - 2**20  # of a protobuf message, less what is not weights
_AXES = {INPUT: ("batch", None, "height", "width")}
_MAP_AXES = ("batch", None, "map_height", "map_width")


def write_onnx(program: ExportedProgram, metadata: Mapping[str, str], path: Path) -> None:
    """Write a program as one ONNX file.

    Args:
        program: From `softcam.delivery.torch_export.trace`.
        metadata: Goes into ``metadata_props``; what it says of the input and the outputs also into their
            ``doc_string``.
        path: The file.

    Raises:
        ConfigError: The extra ``onnx`` is not installed.
        ConversionError: The network is too large for one file, or has an operation that ONNX lacks.
    """
    onnx = need("onnx", extra="onnx")
    need("onnxscript", extra="onnx")
    if sum(tensor.nbytes for tensor in program.state_dict.values()) > _LARGEST:
        raise ConversionError("the network has more than 2 GB of weights, too many for one ONNX file; use --to torch")
    outputs = [name.value for name in Output]
    try:
        with quiet(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exported = torch.onnx.export(
                program,
                dynamo=True,
                opset_version=OPSET,
                verbose=False,
                input_names=[INPUT],
                output_names=outputs,
            )
    except Exception as error:  # of the exporter, by whatever operation it meets
        reason = str(error).strip().partition("\n")[0]
        raise ConversionError(f"ONNX cannot express the network ({reason}); use --to torch") from error
    assert exported is not None
    model = exported.model_proto
    _name_axes(model)
    _forget_origin(model)
    for value in (*model.graph.input, *model.graph.output):
        value.doc_string = metadata[value.name]
    onnx.helper.set_model_props(model, dict(metadata))
    model.producer_name, model.producer_version = "softcam", __version__
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _name_axes(model: Any) -> None:
    """Give the free axes of inputs and outputs their names, in place of the exporter's expressions."""
    for value in (*model.graph.input, *model.graph.output):
        for dimension, name in zip(value.type.tensor_type.shape.dim, _AXES.get(value.name, _MAP_AXES), strict=False):
            if name is not None:
                dimension.dim_param = name
    del model.graph.value_info[:]  # shapes in between, in the exporter's expressions; runtimes infer them


def _forget_origin(model: Any) -> None:
    """Remove what the exporter notes of the code that each node comes from, with paths of this machine."""
    for node in (*model.graph.node, *(node for function in model.functions for node in function.node)):
        del node.metadata_props[:]
        node.doc_string = ""
    del model.graph.metadata_props[:]
