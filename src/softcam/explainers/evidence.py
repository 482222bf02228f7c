"""The evidence of a SoftCAM, and of a black box whose exact conversion has one."""

from __future__ import annotations

from torch import Tensor, nn

from softcam.errors import ConfigError, ConversionError
from softcam.explainers.explanation import Explanation, ModelExplainer, check_logits, of_class
from softcam.explainers.undisturbed import undisturbed
from softcam.model.convert import convert
from softcam.model.evidence import ClassEvidence, Evidence, SoftCAM
from softcam.model.task import Task


class EvidenceExplainer(ModelExplainer):
    """Class evidence without its bias, in logit units: ``mean(map) + bias`` is the logit.

    Djoumessi & Berens 2026, section 3. By default the contrast, the part of the evidence that the probabilities
    see (:meth:`softcam.Evidence.contrast`).

    Args:
        name: What tables call it.
        model: A SoftCAM, or a black box (see :func:`self_explaining`).
        contrast: Whether to explain the contrast to the other classes, or the class's own map.
        stage: Name of the one stage whose evidence is wanted, as ``model.report.stages`` has it; by default all.
        task: How a black box's logits become probabilities; by default softmax, for one output sigmoid.
        example: An input ``(N, C, H, W)`` that a black box accepts, as for :func:`softcam.convert`.

    Raises:
        ConversionError: A black box has no exact class activation map.
        ConfigError: There is no such stage.
    """

    def __init__(
        self,
        name: str,
        model: nn.Module,
        *,
        contrast: bool = True,
        stage: str | None = None,
        task: Task | None = None,
        example: Tensor | None = None,
    ) -> None:
        self.softcam = self_explaining(model, task, example)
        super().__init__(name, self.softcam)
        self.contrast = contrast
        self.stage = None if stage is None else _stage_index(self.softcam, stage)

    def _explain(self, images: Tensor, classes: Tensor) -> Explanation:
        evidence = self.softcam.explain(images) if self.stage is None else self._stage_evidence(images, self.stage)
        check_logits(evidence.logits, classes)
        maps = evidence.contrast() if self.contrast else evidence.maps
        return Explanation.from_cells(of_class(maps, classes), images, forward_passes=1)

    def _stage_evidence(self, images: Tensor, stage: int) -> Evidence:
        maps = self.softcam.stage_maps(images)[stage].detach()
        layer = self.softcam.evidence[stage]
        assert isinstance(layer, ClassEvidence)
        bias = layer.classes.bias.detach() if layer.classes.bias is not None else maps.new_zeros(maps.shape[1])
        return Evidence(maps - bias.view(1, -1, 1, 1), maps.mean(dim=(2, 3)), bias, self.softcam.task)


def self_explaining(model: nn.Module, task: Task | None = None, example: Tensor | None = None) -> SoftCAM:
    """Return the SoftCAM that explains ``model``: itself, or the exact conversion of a black box.

    The evidence of an exact conversion is the class activation map (Zhou et al. 2016) of the black box in logit
    units. A conversion copies the weights as they are now.

    Raises:
        ConversionError: The conversion is not exact, so that its evidence would explain another function.
    """
    if isinstance(model, SoftCAM):
        return model
    with undisturbed(model):
        converted = convert(model, task=task, example=example)
    assert converted.report is not None
    if not converted.report.exact:
        raise ConversionError(
            f"{type(model).__name__} has no exact class activation map ({converted.report}); "
            "convert and fine-tune it, or use gradcam"
        )
    return converted


def _stage_index(model: SoftCAM, stage: str) -> int:
    stages = model.report.stages if model.report is not None else ()
    if len(stages) != len(model.evidence) or len(stages) == 1:
        raise ConfigError(f"softcam-{stage}: this network has its evidence on one layer; use softcam")
    if stage not in stages:
        raise ConfigError(f"softcam-{stage}: there is no such stage; choose from {', '.join(stages)}")
    return stages.index(stage)
