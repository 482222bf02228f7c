"""An exported ONNX file in the place of the model that it was made of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from softcam.delivery.extras import need
from softcam.delivery.outputs import INPUT, Output
from softcam.errors import CheckpointError, ConfigError
from softcam.model.checkpoint import Checkpoint, ModelCard
from softcam.model.evidence import Evidence
from softcam.model.task import Task

SUFFIX = ".onnx"


class OnnxModel(nn.Module):
    """An ONNX file in the place of a :class:`softcam.SoftCAM`: `forward` and `explain` are the same.

    Args:
        path: A file that ``softcam export`` has written.
        device: Where to compute.

    Raises:
        CheckpointError: It is no such file.
        ConfigError: The extra ``onnx`` is not installed, or ONNX Runtime cannot compute there.
    """

    def __init__(self, path: str | Path, device: str | torch.device = "cpu") -> None:
        super().__init__()
        self._session = _open(Path(path), torch.device(device))
        self.metadata: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        if "softcam_format" not in self.metadata:
            raise CheckpointError(f"{path} was not written by softcam export; export the model again")
        self.card = ModelCard.from_json(self.metadata["card"])
        self.register_buffer("bias", torch.tensor(json.loads(self.metadata["bias"])), persistent=False)

    @property
    def task(self) -> Task:
        """How logits become probabilities."""
        return self.card.task

    def run(self, images: Tensor) -> dict[str, Tensor]:
        """Return all of `Output` for images ``(N, C, H, W)``."""
        return dict(zip(map(str, Output), self._run(images, *Output), strict=True))

    def forward(self, images: Tensor, return_evidence: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        """Classify images ``(N, C, H, W)``, as :meth:`softcam.SoftCAM.forward` does."""
        if not return_evidence:
            return self._run(images, Output.LOGITS)[0]
        evidence = self.explain(images)
        return evidence.logits, evidence.maps + evidence.bias.view(1, -1, 1, 1)

    def explain(self, images: Tensor) -> Evidence:
        """Return the decision and its evidence, as :meth:`softcam.SoftCAM.explain` does."""
        logits, maps = self._run(images, Output.LOGITS, Output.EVIDENCE)
        assert isinstance(self.bias, Tensor)
        return Evidence(maps, logits, self.bias, self.task)

    def _run(self, images: Tensor, *outputs: Output) -> list[Tensor]:
        inputs = {INPUT: images.detach().float().cpu().numpy()}
        return [torch.from_numpy(each) for each in self._session.run([each.value for each in outputs], inputs)]


def load_onnx(path: str | Path, device: str | torch.device = "cpu") -> Checkpoint:
    """Load what ``softcam export --to onnx`` has written, with its card; neither the weights' file nor its code needed.

    Args:
        path: The file.
        device: Where to compute: cpu, or cuda with ``onnxruntime-gpu``.

    Raises:
        CheckpointError: It is no such file.
        ConfigError: The extra ``onnx`` is not installed, or ONNX Runtime cannot compute there.
    """
    model = OnnxModel(path, device).eval()
    return Checkpoint(model, model.card)


def _open(path: Path, device: torch.device) -> Any:
    runtime = need("onnxruntime", extra="onnx")
    provider = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}.get(device.type, device.type)
    if provider not in runtime.get_available_providers():
        raise ConfigError(f"ONNX Runtime cannot compute on {device}; use cpu, or pip install onnxruntime-gpu")
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist; give a file that softcam export has written")
    try:
        return runtime.InferenceSession(str(path), providers=[provider])
    except Exception as error:  # classes of its own, without a common name
        raise CheckpointError(f"{path} is no ONNX file that ONNX Runtime reads; copy or export it again") from error
