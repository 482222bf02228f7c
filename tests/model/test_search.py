from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor, nn

import softcam
from softcam.model.layout import Order, channels_first, channels_last
from tests.model.networks import randomize


class Network(nn.Module):
    """A convolution, a layout, and a head."""

    def __init__(self, order: Order, extra: int, before: nn.Module, after: nn.Module, width: int) -> None:
        super().__init__()
        self.order, self.extra = order, extra
        self.stem = nn.Sequential(nn.Conv2d(2, width, 3, 4, 1), nn.GELU())
        self.token = nn.Parameter(torch.randn(1, extra, width))
        self.before, self.after = before, after

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        match self.order:
            case Order.CHANNELS_FIRST:
                return self.after(self.before(channels_last(x)).mean((1, 2)))
            case Order.CHANNELS_LAST:
                return self.after(channels_last(self.before_last(x)).mean((1, 2)))
            case Order.TOKENS:
                tokens = torch.cat([self.token.expand(x.shape[0], -1, -1), x.flatten(2).transpose(1, 2)], 1)
                return self.after(self.before(tokens)[:, self.extra :].mean(1))

    def before_last(self, x: Tensor) -> Tensor:
        return channels_first(self.before(channels_last(x)))


class ClassToken(Network):
    """Its head reads the token in front."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).flatten(2).transpose(1, 2)
        tokens = self.before(torch.cat([self.token + x.mean(1, keepdim=True), x], 1))
        return self.after(tokens[:, 0])


class Shuffled(Network):
    """Its tokens do not lie as the image does."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).flatten(2).transpose(1, 2)
        order = torch.randperm(x.shape[1], generator=torch.Generator().manual_seed(0))
        return self.after(self.before(x[:, order]).mean(1))


@st.composite
def affine_layers(draw: st.DrawFn, width: int) -> tuple[nn.Module, int]:
    layers: list[nn.Module] = []
    for kind in draw(st.lists(st.sampled_from(["linear", "dropout", "norm", "identity"]), max_size=4)):
        if kind == "linear":
            out = draw(st.integers(1, 9))
            layers.append(nn.Linear(width, out, bias=draw(st.booleans())))
            width = out
        else:
            layers.append({"dropout": nn.Dropout(0.3), "norm": nn.BatchNorm1d(width), "identity": nn.Identity()}[kind])
    return nn.Sequential(*layers), width


@given(
    data=st.data(),
    order=st.sampled_from(Order),
    extra=st.integers(0, 3),
    rows=st.integers(2, 9),
    columns=st.integers(2, 9),
    classes=st.integers(1, 6),
)
@settings(max_examples=40, deadline=None)
def test_any_affine_head_in_any_layout_is_exact_and_complete(
    data: st.DataObject, order: Order, extra: int, rows: int, columns: int, classes: int
) -> None:
    head, width = data.draw(affine_layers(10))
    head = nn.Sequential(head, nn.Linear(width, classes))
    source = randomize(Network(order, extra, nn.LayerNorm(10), head, 10)).eval()
    model = softcam.convert(source, example=torch.randn(1, 2, 64, 64))
    images = torch.randn(2, 2, 4 * rows, 4 * columns)
    assert model.report.exact, model.report
    with torch.no_grad():
        torch.testing.assert_close(model(images), source(images), rtol=1e-4, atol=1e-5)
    evidence = model.explain(images)
    assert evidence.maps.shape == (2, classes, rows, columns)
    assert evidence.completeness_error() < 1e-4


@pytest.mark.parametrize("order", Order)
def test_evidence_lies_where_the_image_has_it(order: Order) -> None:
    model = softcam.convert(
        randomize(Network(order, 1, nn.Identity(), nn.Linear(6, 3), 6)).eval(), example=torch.randn(1, 2, 64, 64)
    )
    images = torch.zeros(1, 2, 32, 48)
    changed = images.clone()
    changed[:, :, 20:22, 36:38] = 5.0
    difference = (model.explain(changed).maps - model.explain(images).maps).abs().sum((0, 1))
    assert divmod(int(difference.argmax()), 12) == (5, 9)


def test_a_class_token_is_replaced_and_the_report_says_so() -> None:
    source = randomize(ClassToken(Order.TOKENS, 1, nn.LayerNorm(6), nn.Linear(6, 3), 6)).eval()
    model = softcam.convert(source, example=torch.randn(1, 2, 64, 64))
    assert not model.report.exact
    assert model.report.max_difference > 1e-3
    assert "a token of no place" in model.report.reason


def test_tokens_in_another_order_than_the_image_are_refused() -> None:
    source = Shuffled(Order.TOKENS, 0, nn.Identity(), nn.Linear(6, 3), 6).eval()
    with pytest.raises(softcam.ConversionError, match="do not follow the order of the image"):
        softcam.convert(source, example=torch.randn(1, 2, 64, 64))


def test_a_sum_over_places_is_no_mean() -> None:
    class Summed(Network):
        def forward(self, x: Tensor) -> Tensor:
            return self.after(self.stem(x).sum((2, 3)))

    source = Summed(Order.CHANNELS_FIRST, 0, nn.Identity(), nn.Linear(6, 3), 6).eval()
    with pytest.raises(softcam.ConversionError, match=r"comes sum → Linear\(6, 3\), and sum cannot be applied"):
        softcam.convert(source, example=torch.randn(1, 2, 64, 64))
