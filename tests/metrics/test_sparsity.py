from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings, strategies as st

from softcam.errors import DataError
from softcam.metrics.sparsity import hoyer_sparsity


@settings(max_examples=40, deadline=None)
@given(height=st.integers(1, 9), width=st.integers(2, 9), active=st.integers(1, 81), scale=st.floats(1e-3, 1e3))
def test_cells_that_are_equal_but_for_their_sign(height: int, width: int, active: int, scale: float) -> None:
    """With m of n cells at ±s the ratio of the norms is √m, whatever s is."""
    count = height * width
    active = min(active, count)
    cells = torch.zeros(count)
    cells[:active] = scale * (-1.0) ** torch.arange(active)
    expected = (count**0.5 - active**0.5) / (count**0.5 - 1)
    found = hoyer_sparsity(cells.view(1, height, width))
    assert found.item() == pytest.approx(expected, abs=1e-5)


def test_every_map_of_every_image_has_its_own() -> None:
    maps = torch.randn(3, 4, 5, 6)
    found = hoyer_sparsity(maps)
    assert found.shape == (3, 4)
    cells = maps[1, 2].flatten().double()
    expected = (30**0.5 - cells.abs().sum() / cells.square().sum().sqrt()) / (30**0.5 - 1)
    assert found[1, 2].item() == pytest.approx(expected.item(), rel=1e-5)
    assert hoyer_sparsity(maps.half()).dtype is torch.float32


def test_nothing_and_a_single_cell_have_none() -> None:
    assert hoyer_sparsity(torch.zeros(2, 3, 3)).isnan().all()
    assert hoyer_sparsity(torch.ones(2, 1, 1)).isnan().all()


def test_a_map_that_is_not_finite_is_refused() -> None:
    with pytest.raises(DataError, match=r"^the map of image 1 of the batch holds NaN or infinity"):
        hoyer_sparsity(torch.tensor([[[1.0]], [[torch.nan]]]))
