"""``softcam export``."""

from __future__ import annotations

from pathlib import Path

from softcam.cli.output import show
from softcam.delivery.export import Export, Target, export_model
from softcam.model.checkpoint import load_checkpoint


def export(
    model: Path,
    *,
    to: Target = Target.ONNX,
    out: Path | None = None,
    images: list[Path] | None = None,
    json: bool = False,
) -> None:
    """Write a model, with its evidence, into one file for another runtime.

    The file gives logits, probabilities and evidence maps for any number of images of any size, and says what they
    are, which classes there are and how images are prepared. It is compared with PyTorch before it is kept.

    Args:
        model: Folder of a run or of a trained model.
        to: onnx for ONNX Runtime and others, torch for torch.export.load, which needs no softcam.
        out: File to write; by default model.onnx or model.pt2.
        images: Image files and folders to compare on, beside generated images.
        json: Print the result as JSON.

    Example:
        softcam export runs/chest --to onnx --out chest.onnx --images scans/
        softcam export runs/chest --to torch --out chest.pt2
        softcam explain chest.onnx scan.dcm
    """
    path = out if out is not None else Path(f"model{to.suffix}")
    result = export_model(load_checkpoint(model), path, to, images or [])
    show(result, _as_text(result), json)


def _as_text(result: Export) -> str:
    agreement = result.agreement
    each = ", ".join(f"{name} {difference:.1e}" for name, difference in agreement.differences.items())
    return (
        f"{result.file}: {result.bytes / 1e6:.1f} MB; largest difference to PyTorch on {agreement.generated} generated "
        f"and {agreement.given} given images: {each}"
    )
