"""One fine feature map out of the feature maps of several stages."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from softcam.errors import ConfigError
from softcam.model.evidence import CONVOLUTIONS

_NORMS = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
_MODES = {1: "linear", 2: "bilinear", 3: "trilinear"}


class TopDownFusion(nn.Module):
    """Carries what the coarse stages know down to the resolution of the finest, with few channels.

    As in feature pyramids (Lin et al. 2017): every feature map is brought to ``width`` channels by a 1×1
    convolution; from the coarsest on, what there is so far is upsampled (bilinear), added to the next finer map, and
    smoothed by a 3×3 convolution. Every convolution is followed by batch normalisation and every sum by a ReLU. With
    the finest map it is not added but multiplied: what the coarse stages recognise, they recognise around the lesion
    as well, and the edges and spots that the finest stage sees only on it cut it out. One evidence layer on the
    result gives maps finer than the lesions, and still complete.

    Args:
        channels: Channels D_s of the stages, in the order in which they are computed.
        width: Channels of the result.
        dims: Number of spatial dimensions, 1 to 3.

    Raises:
        ConfigError: ``width`` is below 1.

    Shape:
        feature maps ``(N, D_s, h_s, w_s)``, the finest first, to ``(N, width, h_1, w_1)``.

    Example:
        >>> import torch
        >>> fusion = TopDownFusion((64, 128), width=16)
        >>> fusion((torch.rand(2, 64, 32, 32), torch.rand(2, 128, 15, 16))).shape
        torch.Size([2, 16, 32, 32])
    """

    def __init__(self, channels: Sequence[int], width: int, dims: int = 2) -> None:
        super().__init__()
        if width < 1:
            raise ConfigError(f"the fusion of the stages has {width} channels; it needs at least 1")
        self.mode = _MODES[dims]
        self.lateral = nn.ModuleList(_normalised(depth, width, 1, dims) for depth in channels)
        self.smooth = nn.ModuleList(_normalised(width, width, 3, dims) for _ in channels[1:-1])

    def forward(self, features: Sequence[Tensor] | Tensor) -> Tensor:
        """Fuse the feature maps of the stages; that of a single stage may come alone."""
        stages = (features,) if isinstance(features, Tensor) else tuple(features)
        sides = [lateral(stage) for lateral, stage in zip(self.lateral, stages, strict=True)]
        fused = F.relu(sides.pop())
        for smooth in self.smooth:
            finer = sides.pop()
            fused = F.relu(smooth(F.relu(finer + self._enlarged(fused, finer))))
        return F.relu(sides[0]) * self._enlarged(fused, sides[0]) if sides else fused

    def _enlarged(self, fused: Tensor, finer: Tensor) -> Tensor:
        return F.interpolate(fused, finer.shape[2:], mode=self.mode, align_corners=False)


def _normalised(in_channels: int, out_channels: int, kernel: int, dims: int) -> nn.Sequential:
    convolution = CONVOLUTIONS[dims](in_channels, out_channels, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, _NORMS[dims](out_channels))
