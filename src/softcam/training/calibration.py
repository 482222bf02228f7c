"""Probabilities that mean what they say: a temperature, fitted on the validation images and put into the weights.

Mix-consistent SoftCAMs rank well and are too cautious: the evidence of few cells has to carry the whole logit.
Dividing all logits by one temperature mends that without changing a decision (Guo et al., *On Calibration of
Modern Neural Networks*, ICML 2017). Dividing the weights of the evidence layers instead divides logits and
evidence maps alike: the saved network is an ordinary one, and its maps still add up to its logits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_softmax
from torch import Tensor, nn

from softcam.metrics.classification import classification_metrics
from softcam.model.evidence import ClassEvidence, SoftCAM, evaluating, first_convolution
from softcam.model.task import Task
from softcam.training.config import Calibration

OutputLayer: TypeAlias = ClassEvidence | nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d
FloatArray: TypeAlias = NDArray[np.float64]

_NAMES = {"loss": "loss", "ece": "calibration error"}
_SMALLEST = 1e-3  # of 1 / temperature; the prior's logarithm keeps well away from it


@dataclass(frozen=True)
class Scaling:
    """What is done to logits: ``logits / temperature + bias``.

    Attributes:
        temperature: Above 0; below 1 makes a cautious classifier bolder.
        bias: ``(K,)``; empty for none.
    """

    temperature: float = 1.0
    bias: tuple[float, ...] = ()

    def __call__(self, logits: FloatArray) -> FloatArray:
        """Scale logits ``(N, K)``."""
        scaled: FloatArray = logits / self.temperature
        return scaled + np.array(self.bias) if self.bias else scaled


@dataclass(frozen=True)
class Calibrated:
    """How a network was calibrated, or why not.

    Attributes:
        scaling: What was fitted; leaves logits alone where ``reason`` is given.
        images: Validation images on which it was fitted.
        before: Loss and metrics of these images before.
        after: And afterwards.
        reason: Why the network was left as it is; empty where it was not.
    """

    scaling: Scaling = Scaling()
    images: int = 0
    before: Mapping[str, float] = field(default_factory=dict)
    after: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return what a model card records."""
        if self.reason:
            return {"left_out": self.reason}
        return {
            "temperature": self.scaling.temperature,
            "bias": list(self.scaling.bias) or None,
            "val_images": self.images,
            "before": {name: self.before[name] for name in _NAMES},
            "after": {name: self.after[name] for name in _NAMES},
        }

    def __str__(self) -> str:
        """One line for a log."""
        if self.reason:
            return f"not calibrated: {self.reason}"
        moves = [f"{name} {self.before[key]:.3f} → {self.after[key]:.3f}" for key, name in _NAMES.items()]
        bias = " and a bias per class" if self.scaling.bias else ""
        return f"calibrated: temperature {self.scaling.temperature:.3f}{bias}, validation {', '.join(moves)}"


def calibrate(
    logits: Tensor, targets: Tensor, task: Task, method: Calibration, layers: Sequence[OutputLayer]
) -> Calibrated:
    """Fit what calibrates a network, or say why it is left as it is.

    Args:
        logits: ``(N, K)``, of the validation images.
        targets: As :class:`~softcam.data.dataset.ManifestDataset` gives them.
        task: How logits become probabilities.
        method: What to fit.
        layers: Where the result is to go (:func:`output_layers`).
    """
    z, y = logits.double().cpu().numpy(), targets.cpu().numpy()
    reason = _reason_against(y, z.shape[1], task, method, layers)
    if reason:
        return Calibrated(reason=reason)
    scaling = fit_scaling(z, y, task, with_bias=method is Calibration.BIAS)
    return Calibrated(scaling, len(z), _scores(z, y, task), _scores(scaling(z), y, task))


def _reason_against(
    targets: NDArray[Any], outputs: int, task: Task, method: Calibration, layers: Sequence[OutputLayer]
) -> str:
    if method is Calibration.NONE:
        return "run.calibration is none"
    if not layers:
        return "the logits do not come straight out of one last linear layer"
    truth = _truth(targets, outputs, task)
    if (truth == truth[0]).all():
        return f"all {len(truth)} validation images have the same labels"
    if method is Calibration.TEMPERATURE:
        return ""
    if _bias(layers[0]) is None:
        return "the last layer has no bias to be moved; run.calibration temperature needs none"
    constant = np.flatnonzero((truth == truth[0]).all(axis=0))
    return f"all validation images agree on output {constant[0]}, so its bias is unknown" if len(constant) else ""


def fit_scaling(logits: FloatArray, targets: NDArray[Any], task: Task, *, with_bias: bool = False) -> Scaling:
    """Fit temperature, and bias, by maximum a posteriori likelihood.

    With ``β = 1 / T`` this minimises ``Σ NLL(β·z + b) + (β − 1 − ln β) + ½·|b|²``, which is convex, so that there
    is one answer. The priors, a gamma distribution with its mode at β = 1 and a normal one, weigh about as much as
    one image: they decide only where the images do not, above all where the validation images are few enough to be
    told apart without a mistake, for which the likelihood alone would ask for a temperature of 0. The temperature
    is that of Guo et al. (2017); with the bias it is the bias-corrected one of Alexandari, Kundaje & Shrikumar
    (ICML 2020), which also moves decisions, towards how frequent the classes are among these images.

    Args:
        logits: ``(N, K)``.
        targets: As for :func:`calibrate`, images of at least two classes.
        task: How logits become probabilities.
        with_bias: Whether to fit a bias per output too.

    Returns:
        The scaling; the loss of these images is never higher with it than without.

    Example:
        >>> fit_scaling(np.array([[0.2], [-0.1]] * 50), np.array([[1.0], [0.0]] * 50), Task.BINARY).temperature < 0.1
        True
    """
    images, outputs = logits.shape
    truth = _truth(targets, outputs, task)

    def objective(parameters: FloatArray) -> tuple[float, FloatArray]:
        beta, bias = parameters[0], parameters[1:]
        loss, error = _loss(beta * logits + (bias if with_bias else 0.0), truth, task)
        value = loss + beta - 1 - np.log(beta) + 0.5 * bias @ bias
        gradient = np.array([(error * logits).sum() + 1 - 1 / beta])
        if with_bias:
            gradient = np.concatenate([gradient, error.sum(axis=0) + bias])
        return value / images, gradient / images

    start = np.zeros(1 + outputs * with_bias)
    start[0] = 1.0
    bounds = [(_SMALLEST, None), *[(None, None)] * (len(start) - 1)]
    options = {"ftol": 1e-14, "gtol": 1e-9, "maxiter": 1000}
    best = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x.tolist()
    return Scaling(1 / best[0], tuple(best[1:]))


def _truth(targets: NDArray[Any], outputs: int, task: Task) -> FloatArray:
    """Return the probabilities ``(N, K)`` that would be right."""
    if task is Task.MULTICLASS:
        return np.asarray(np.eye(outputs)[targets])
    return targets.reshape(len(targets), outputs).astype(np.float64)


def _loss(logits: FloatArray, truth: FloatArray, task: Task) -> tuple[float, FloatArray]:
    """Return the sum of the cross entropies, and its gradient ``(N, K)``."""
    if task is Task.MULTICLASS:
        logarithms = log_softmax(logits, axis=1)
        return -float((truth * logarithms).sum()), np.exp(logarithms) - truth
    return float((np.logaddexp(0, logits) - truth * logits).sum()), expit(logits) - truth


def _scores(logits: FloatArray, targets: NDArray[Any], task: Task) -> dict[str, float]:
    loss, _ = _loss(logits, _truth(targets, logits.shape[1], task), task)
    decisions = len(logits) if task is Task.MULTICLASS else logits.size
    probabilities = task.probabilities(torch.from_numpy(logits)).numpy()
    return {"loss": loss / decisions, **classification_metrics(probabilities, targets, task)}


@contextmanager
def rescaled(layers: Sequence[OutputLayer], scaling: Scaling) -> Iterator[None]:
    """Scale what ``layers`` give for as long as the context lasts, then put their weights back, bit for bit.

    Args:
        layers: Their outputs, averaged over places and added up, are the logits.
        scaling: What to do to the logits; a bias goes into the first layer.
    """
    tensors = [tensor for layer in layers for tensor in layer.parameters()]
    before = [tensor.detach().clone() for tensor in tensors]
    with torch.no_grad():
        for layer in layers:
            _divide(layer, scaling.temperature)
        if scaling.bias:
            bias = _bias(layers[0])
            assert bias is not None, "a bias was fitted for a layer without one"
            bias.add_(torch.tensor(scaling.bias, dtype=bias.dtype, device=bias.device))
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor, value in zip(tensors, before, strict=True):
                tensor.copy_(value)


def _bias(layer: OutputLayer) -> Tensor | None:
    return layer.classes.bias if isinstance(layer, ClassEvidence) else layer.bias


def _divide(layer: OutputLayer, temperature: float) -> None:
    if isinstance(layer, ClassEvidence):
        layer.scale_(1 / temperature)
        return
    for tensor in layer.parameters():
        tensor.div_(temperature)


def output_layers(network: nn.Module, image_size: Sequence[int]) -> tuple[OutputLayer, ...]:
    """Return the layers whose outputs, averaged over places and added up, are the logits.

    For a SoftCAM these are its evidence layers. In a black box the last linear layer or convolution
    is tried: it is taken if the logits follow exactly when its weights are doubled and its bias is raised. Networks
    that do something else behind it (a ReLU in SqueezeNet) have none.

    Args:
        network: Any classifier, on the CPU; nothing of it changes.
        image_size: ``(H, W)`` that it accepts.
    """
    if isinstance(network, SoftCAM):
        return tuple(layer for layer in network.evidence if isinstance(layer, ClassEvidence))
    kinds = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
    candidates = [module for module in network.modules() if isinstance(module, kinds)]
    return (candidates[-1],) if candidates and _gives_logits(candidates[-1], network, image_size) else ()


def _gives_logits(layer: OutputLayer, network: nn.Module, image_size: Sequence[int]) -> bool:
    first = first_convolution(network)
    channels = 3 if first is None else first.in_channels
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(1, channels, *image_size, generator=generator)
    raised = Scaling(0.5, (1.0,) if _bias(layer) is not None else ())  # powers of two are exact
    with torch.no_grad(), evaluating(network):
        plain = network(images)
        with rescaled([layer], raised):
            changed = network(images)
    connected = bool(raised.bias) or bool(plain.any())
    return connected and torch.allclose(changed, 2 * plain + len(raised.bias), rtol=1e-5, atol=1e-6)
