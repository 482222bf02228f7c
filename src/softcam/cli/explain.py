"""``softcam explain``."""

from __future__ import annotations

from pathlib import Path

from softcam.cli.device import choose_device
from softcam.cli.output import show
from softcam.delivery.onnx_model import SUFFIX, load_onnx
from softcam.errors import ConfigError, DataError
from softcam.model.checkpoint import Checkpoint, load_checkpoint
from softcam.reporting.explain import ExplainResult, explain_images
from softcam.reporting.selection import ExplainOptions, Shown

_LISTED = 20


def explain(
    model: Path,
    images: list[Path],
    *,
    out: Path = Path("evidence"),
    class_: tuple[str, ...] = (),
    top: int | None = None,
    contrast: bool = False,
    raw: bool = False,
    limit: float | None = None,
    batch_size: int = 8,
    device: str | None = None,
    strict: bool = False,
    json: bool = False,
) -> None:
    """Show the evidence in images.

    Writes for each image NAME.CLASS.png (the image, and beside it the evidence for and against the class over its
    grey copy), NAME.npz (the maps of all classes) and NAME.json (probabilities, logits, evidence totals, and how
    exactly they add up). The colours have one scale in logits for all images of a call.

    Args:
        model: Folder of a run or of a trained model, or an .onnx file that softcam export has written.
        images: Image files (DICOM too) and folders, which are searched with the folders below.
        out: Folder to write to.
        class_: Classes to show; by default the last of two, and of more the most probable.
        top: Show this many of the most probable classes.
        contrast: Show the evidence for a class over the others, which is what decides; so it is without --raw.
        raw: Show the map of the class alone.
        limit: Logits at full colour; by default what suits the images of this call. Give it to compare calls.
        batch_size: Images that go through the network together.
        device: Where to compute, such as cpu or cuda:1; by default a GPU where there is one, and the CPU for ONNX.
        strict: Stop at the first file that cannot be explained; otherwise it is reported and the rest is done.
        json: Print the result as JSON.

    Example:
        softcam explain runs/fundus eye.png --out evidence
        softcam explain runs/chest scans/ more/scan.dcm --class opacity --limit 20
        softcam explain runs/oct scans/ --top 2 --raw --json
        softcam explain chest.onnx scan.dcm
    """
    if contrast and raw:
        raise ConfigError("--contrast and --raw are both given; choose one of the two")
    shown = Shown.RAW if raw else Shown.CONTRAST
    options = ExplainOptions(tuple(class_), top, shown, limit, batch_size, strict)
    checkpoint = _load(model, device)
    result = explain_images(checkpoint, images, out, options)
    show(result, _as_text(result), json)
    if result.failures:
        count, total = len(result.failures), len(result.failures) + len(result.images)
        names = ", ".join(str(failure.path) for failure in result.failures[:3])
        more = ", ..." if count > 3 else ""
        raise DataError(f"{count} of {total} could not be explained: {names}{more}; the reasons are above")


def _load(model: Path, device: str | None) -> Checkpoint:
    if model.suffix != SUFFIX:
        return load_checkpoint(model, device=choose_device(device))
    return load_onnx(model, choose_device(device or "cpu"))


def _as_text(result: ExplainResult) -> str:
    lines = []
    for image in result.images[:_LISTED]:
        seen = ", ".join(image.predicted) or "none of the classes"
        lines.append(f"{image.image}: {seen} (highest probability {image.probability:.3f})")
    if len(result.images) > _LISTED:
        lines.append(f"... and {len(result.images) - _LISTED} more")
    scale = f", full colour at ±{result.limit:g} logits" if result.limit is not None else ""
    return "\n".join([*lines, f"{len(result.images)} explained in {result.out}{scale}"])
