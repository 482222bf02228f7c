"""The network to convert, as a copy that can be looked at, and images to look at it with."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from softcam.errors import ConversionError
from softcam.model.evidence import SoftCAM, first_convolution
from softcam.model.tracing import INSTEAD

# what published classifiers are trained with, the most frequent first
_SIZES: dict[int, tuple[tuple[int, ...], ...]] = {
    1: ((224,), (1024,)),
    2: tuple((side, side) for side in (224, 256, 240, 384, 448, 336, 512)),
    3: ((96, 96, 96), (16, 112, 112), (16, 224, 224)),
}


@dataclass(frozen=True)
class Source:
    """A copy of a network on the CPU, in float32 and eval mode, that remembers how the original was.

    Attributes:
        network: The copy.
        example: An image ``(1, C, H, W)`` that it accepts.
        modes: Whether each module was in train mode, by name.
        places: Device and dtype of each parameter and buffer, by name.
    """

    network: nn.Module
    example: Tensor
    modes: dict[str, bool]
    places: dict[str, tuple[torch.device, torch.dtype]]

    @classmethod
    def of(cls, model: nn.Module, example: Tensor | None) -> Source:
        """Copy ``model``, without the wrappers of compilation and parallel training.

        Args:
            model: The network; it is not changed.
            example: Images that it accepts; by default noise of the first usual size that it takes.

        Raises:
            ConversionError: It is a SoftCAM, or it has no convolution.
        """
        network = copy.deepcopy(unwrapped(model))
        modes = {name: module.training for name, module in network.named_modules()}
        places = {name: (t.device, t.dtype) for name, t in _named_tensors(network)}
        network = network.eval().to("cpu")
        for _, tensor in _named_tensors(network):
            if tensor.is_floating_point():
                tensor.data = tensor.data.float()
        return cls(network, _example(network, example), modes, places)

    @property
    def larger(self) -> Tensor:
        """Noise that is larger by two cells of the usual last map, to tell what follows the size of the input."""
        more = 64 if self.example.dim() < 5 else 32
        return _noise(1, self.example.shape[1], *(length + more for length in self.example.shape[2:]))

    def probes(self) -> Iterator[Tensor]:
        """Yield images of two sizes, of one where the network takes no other."""
        yield self.example
        yield _noise(2, *self.example.shape[1:])
        if _accepts(self.network, self.larger):
            yield self.larger

    def restore(self, kept: nn.Module, *new: nn.Module | None) -> None:
        """Give every module its mode, and every tensor its device and dtype, back.

        Args:
            kept: What is left of the network.
            new: Modules that were added; they follow the network's first tensor.
        """
        device, dtype = next(iter(self.places.values()), (torch.device("cpu"), torch.float32))
        for module in new:
            if module is not None:
                module.to(device, dtype if dtype.is_floating_point else torch.float32).train(self.modes[""])
        for name, tensor in _named_tensors(kept):
            if name in self.places:
                tensor.data = tensor.data.to(*self.places[name])
        for name, module in kept.named_modules():
            module.training = self.modes.get(name, self.modes[""])


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the network inside the wrappers of compilation and parallel training.

    Raises:
        ConversionError: It is a SoftCAM.
    """
    if isinstance(model, SoftCAM):
        raise ConversionError("this network is a SoftCAM already; use it as it is")
    if isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
        inner: nn.Module = model.module
        return inner
    original: nn.Module = getattr(model, "_orig_mod", model)
    return original


def _named_tensors(module: nn.Module) -> list[tuple[str, Tensor]]:
    return [*module.named_parameters(), *module.named_buffers()]


def _example(network: nn.Module, example: Tensor | None) -> Tensor:
    if example is not None:
        return example.detach().to("cpu", torch.float32)[:1]
    first = first_convolution(network)
    if first is None:
        raise ConversionError(f"cannot convert {type(network).__name__}: it has no convolution" + INSTEAD)
    sizes = _SIZES[len(first.kernel_size)]
    examples = (_noise(1, first.in_channels, *size) for size in sizes)
    return next((e for e in examples if _accepts(network, e)), _noise(1, first.in_channels, *sizes[0]))


def _noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def _accepts(network: nn.Module, images: Tensor) -> bool:
    try:
        with torch.no_grad():
            network(images)
    except Exception:  # any error of any layer says so
        return False
    return True
