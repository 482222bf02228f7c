"""The class evidence layer, the network that carries it, and the evidence that it gives.

Djoumessi & Berens, *SoftCAM* (MIDL 2026, arXiv 2505.17748), section 3: the logit of class ``c`` is the mean
of its class evidence map, ``logits = mean_hw(A)`` with ``A = conv1x1(Z)``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from softcam.errors import ConfigError
from softcam.model.report import ConversionReport
from softcam.model.resample import resample_area
from softcam.model.task import Task

CONVOLUTIONS: dict[int, type[nn.Conv1d | nn.Conv2d | nn.Conv3d]] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
_CONVOLVE: dict[int, Callable[..., Tensor]] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_CHANNEL_DROPOUT = {1: nn.Dropout1d, 2: nn.Dropout2d, 3: nn.Dropout3d}


class ClassEvidence(nn.Module):
    """One 1×1 convolution kernel per class: a feature map in, a class evidence map per class out.

    With a ``power`` p above 1 the evidence of a cell grows faster than its features answer::

        A = sign(z) · |z|^p + b,   z = conv1x1(Z)

    The logit is the mean over all cells, so a lesion on 1 % of them needs answers a hundred times the logit; linear
    kernels reach it sooner by answering far around the lesion as well, and the map blurs. A power makes one strong
    cell worth more than many weak ones. The logit remains the mean of the map, whatever p is.

    Args:
        in_channels: Channels D of the feature map (of what ``hidden`` makes of it, where given).
        num_classes: Number K of classes.
        bias: Whether the kernels have a bias.
        dropout: Probability of dropping a whole channel in training: dropping one entry of the pooled
            vector in front of a linear layer is the same thing.
        hidden: Layers applied at every place before the kernels; for VGG the published 1×1 stack.
        dims: Number of spatial dimensions, 1 to 3.
        power: The exponent p ≥ 1; 1 is the published, linear layer.

    Raises:
        ConfigError: ``power`` is below 1.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        bias: bool = True,
        dropout: float = 0.0,
        hidden: nn.Module | None = None,
        dims: int = 2,
        power: float = 1.0,
    ) -> None:
        super().__init__()
        if not (math.isfinite(power) and power >= 1):
            raise ConfigError(f"ClassEvidence: power is {power}; it is a finite number of at least 1")
        self.power = float(power)
        self.hidden = hidden if hidden is not None else nn.Identity()
        self.dropout = _CHANNEL_DROPOUT[dims](dropout) if dropout else nn.Identity()
        self.classes = CONVOLUTIONS[dims](in_channels, num_classes, kernel_size=1, bias=bias)

    @property
    def num_classes(self) -> int:
        """Number K of classes."""
        return int(self.classes.out_channels)

    def forward(self, features: Tensor) -> Tensor:
        """Return class evidence maps ``(N, K, h, w)`` in logit units for features ``(N, D, h, w)``.

        Under autocast the kernels run in their own precision: the maps are few and the completeness of
        the explanation (mean of the map = logit) would be lost in the rounding of half precision.
        """
        features = self.dropout(self.hidden(features))
        with without_autocast(features.device.type):
            features = features.to(self.classes.weight.dtype)
            maps: Tensor = self.classes(features) if self.power == 1 else self._raised(features)
        return maps

    def _raised(self, features: Tensor) -> Tensor:
        answers = _CONVOLVE[features.dim() - 2](features, self.classes.weight)
        maps = answers * answers.abs() ** (self.power - 1)
        if self.classes.bias is None:
            return maps
        return maps + self.classes.bias.view(1, -1, *[1] * (maps.dim() - 2))

    @torch.no_grad()
    def scale_(self, factor: float) -> None:
        """Multiply the maps, and with them the logits, by ``factor`` > 0, by changing the weights."""
        self.classes.weight *= factor ** (1 / self.power)
        if self.classes.bias is not None:
            self.classes.bias *= factor

    def extra_repr(self) -> str:
        """Show the settings that no submodule shows."""
        return f"power={self.power:g}"


@dataclass(frozen=True)
class Evidence:
    """The complete, signed explanation of a decision: ``mean_hw(maps) + bias = logits``.

    Attributes:
        maps: Class evidence maps ``(N, K, h, w)`` in logit units, positive for and negative against the
            class. Without the bias, behind which there is no image evidence.
        logits: ``(N, K)``.
        bias: ``(K,)``, the part of the logits that no image changes.
        task: How logits become probabilities.
    """

    maps: Tensor
    logits: Tensor
    bias: Tensor
    task: Task

    @property
    def probabilities(self) -> Tensor:
        """Probabilities ``(N, K)``: softmax or sigmoid of the logits, by the task."""
        return self.task.probabilities(self.logits)

    def contrast(self) -> Tensor:
        """Return the part of the maps ``(N, K, h, w)`` that the probabilities see.

        A softmax does not see a map that is added to every class, so the sign of one class's map alone
        says nothing. For two classes the result is ``A_c − A_other``, for more ``A_c − mean_k A_k``, and
        for sigmoid outputs the map itself.
        """
        if self.task is not Task.MULTICLASS:
            return self.maps
        centred = self.maps - self.maps.mean(dim=1, keepdim=True)
        return 2 * centred if self.maps.shape[1] == 2 else centred

    def upsample(self, size: int | Sequence[int]) -> Evidence:
        """Return the evidence with bilinear (trilinear) maps of ``size``, for display and scoring.

        Interpolation moves a little evidence at the borders, so completeness is a property of the maps
        as the network gives them, not of the upsampled ones.

        Args:
            size: Height and width, or one number for a square.
        """
        mode = {3: "linear", 4: "bilinear", 5: "trilinear"}[self.maps.dim()]
        target = (size,) * (self.maps.dim() - 2) if isinstance(size, int) else tuple(size)
        return replace(self, maps=F.interpolate(self.maps, target, mode=mode, align_corners=False))

    def completeness_error(self) -> float:
        """Return ``max |mean_hw(maps) + bias − logits|``, computed in float64."""
        totals = self.maps.double().flatten(2).mean(dim=2) + self.bias.double()
        return float((totals - self.logits.double()).abs().max())


class SoftCAM(nn.Module):
    """A classifier whose logits are the means of its class evidence maps.

    A drop-in for the classifier it came from: ``model(x)`` gives logits ``(N, K)``. Usually made by
    :func:`softcam.convert`; build it directly around a backbone that cannot be converted::

        model = SoftCAM(my_feature_extractor, ClassEvidence(in_channels=512, num_classes=3))

    With evidence on several stages the maps are brought to the finest resolution, which leaves their means
    as they are, and added: ``logits = Σ_s mean(A_s)``. With a fusion there is one evidence layer, on one feature
    map that the fusion makes of those of the stages.

    Args:
        backbone: Images ``(N, C, H, W)`` in, a feature map ``(N, D, h, w)`` out, or a tuple of them, one
            per evidence layer.
        evidence: The evidence layer, or one per stage.
        task: How logits become probabilities; by default softmax, for a single class sigmoid.
        report: What the conversion found; None for a network built directly.
        fusion: The feature maps of all stages in, one out, such as :class:`softcam.model.fusion.TopDownFusion`.
    """

    def __init__(
        self,
        backbone: nn.Module,
        evidence: ClassEvidence | Sequence[ClassEvidence],
        *,
        task: Task | None = None,
        report: ConversionReport | None = None,
        fusion: nn.Module | None = None,
    ) -> None:
        super().__init__()
        layers = [evidence] if isinstance(evidence, ClassEvidence) else list(evidence)
        self.backbone = backbone
        self.fusion = fusion
        self.evidence = nn.ModuleList(layers)
        self.task = task if task is not None else Task.infer(layers[0].num_classes)
        self.report = report

    @property
    def num_classes(self) -> int:
        """Number K of classes."""
        return self._layers[0].num_classes

    @property
    def bias(self) -> Tensor:
        """The part ``(K,)`` of the logits that does not depend on the image."""
        biases = [layer.classes.bias for layer in self._layers if layer.classes.bias is not None]
        if not biases:
            return self._layers[0].classes.weight.new_zeros(self.num_classes)
        return torch.stack(biases).sum(dim=0)

    @property
    def _layers(self) -> list[ClassEvidence]:
        return list(self.evidence)  # type: ignore[arg-type]

    def features(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the feature maps ``(N, D_s, h_s, w_s)`` that the evidence layers read, one for each."""
        features = self.backbone(images)
        if self.fusion is not None:
            features = self.fusion(features)
        return (features,) if isinstance(features, Tensor) else tuple(features)

    def stage_maps(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the evidence maps ``(N, K, h_s, w_s)`` of each evidence layer, at its own resolution."""
        pairs = zip(self.evidence, self.features(images), strict=True)
        return tuple(layer(features) for layer, features in pairs)

    def forward(self, images: Tensor, return_evidence: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        """Classify images ``(N, C, H, W)``.

        Args:
            images: As the backbone expects them.
            return_evidence: Return the maps as well.

        Returns:
            Logits ``(N, K)``; with ``return_evidence`` also the class evidence maps ``(N, K, h, w)``, bias
            included, so that ``maps.mean((2, 3)) == logits``.
        """
        maps = combine_stages(self.stage_maps(images))
        logits = maps.mean(dim=tuple(range(2, maps.dim())))
        return (logits, maps) if return_evidence else logits

    @torch.no_grad()
    def explain(self, images: Tensor) -> Evidence:
        """Return the decision and its :class:`Evidence`, in eval mode and without gradients."""
        with evaluating(self):
            logits, maps = self(images, return_evidence=True)
        bias = self.bias.detach()
        return Evidence(maps - bias.view(1, -1, *[1] * (maps.dim() - 2)), logits, bias, self.task)

    def map_size(self, *image_size: int) -> tuple[int, ...]:
        """Return the size ``(h, w)`` of the maps for images of ``image_size`` ``(H, W)``.

        Works out shapes only, without computing or copying anything.

        Raises:
            ConfigError: Images of this size are too small for the network.
        """
        _, maps = run_shapes(self, image_size, True)
        return tuple(maps.shape[2:])


@torch.no_grad()
def run_shapes(network: nn.Module, image_size: Sequence[int], *arguments: object) -> Any:
    """Run a network on one image that has a shape and no content (torch's meta device).

    Args:
        network: Any image network; eval mode is used, and nothing of it changes.
        image_size: ``(H, W)``.
        arguments: What else its forward method is given.

    Returns:
        What the network returns, with shapes and no content.

    Raises:
        ConfigError: Images of this size are too small for the network.
    """
    first = first_convolution(network)
    state = {name: value.to("meta") for name, value in network.state_dict(keep_vars=True).items()}
    images = torch.empty(1, 3 if first is None else first.in_channels, *image_size, device="meta")
    try:
        with evaluating(network):
            return torch.func.functional_call(network, state, (images, *arguments))
    except RuntimeError as error:
        size = "×".join(map(str, image_size))
        raise ConfigError(f"images of {size} px are too small for this network ({error}); enlarge them") from error


def first_convolution(network: nn.Module) -> nn.Conv1d | nn.Conv2d | nn.Conv3d | None:
    """Return the first convolution of a network: it tells how many channels and dimensions its images have."""
    return next((m for m in network.modules() if isinstance(m, (nn.Conv1d, nn.Conv2d, nn.Conv3d))), None)


def combine_stages(maps: Sequence[Tensor]) -> Tensor:
    """Add evidence maps of several stages at the resolution of the finest; the mean of each is kept."""
    if len(maps) == 1:
        return maps[0]
    finest = max((stage.shape[2:] for stage in maps), key=lambda size: size.numel())
    with without_autocast(maps[0].device.type):
        return torch.stack([resample_area(stage, finest) for stage in maps]).sum(dim=0)


def without_autocast(device: str) -> AbstractContextManager[object]:
    """Return a context in which operations on ``device`` keep the precision of their inputs."""
    if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
        return torch.autocast(device, enabled=False)
    return nullcontext()


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put ``model`` into eval mode and afterwards every module back into the mode it was in."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
