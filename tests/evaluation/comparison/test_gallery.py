from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from hypothesis import given, strategies as st

from softcam.evaluation.comparison.gallery import MapFolder, safe_name


def test_a_map_comes_back_small_enough_to_show(tmp_path: Path) -> None:
    folder = MapFolder(tmp_path)
    image_map = torch.zeros(576, 288)
    image_map[:2, :2] = 1
    folder.save("m/n", "a:b", 3, image_map)
    kept = folder.load("m/n", "a:b", 3)
    assert kept is not None
    assert kept.shape == (288, 144)
    assert kept[0, 0] == 1
    assert kept.sum() == 1  # averaged, not sampled: no pixel is lost
    small = torch.arange(6.0).reshape(2, 3)
    folder.save("m", "a", 0, small)
    np.testing.assert_array_equal(folder.load("m", "a", 0), small.numpy())  # type: ignore[arg-type]
    assert folder.load("m", "a", 1) is None


names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=10)


@given(names, names)
def test_names_stay_apart_and_have_no_separators(first: str, second: str) -> None:
    assert not set('/\\:*?|<>"') & set(safe_name(first))
    assert (safe_name(first) == safe_name(second)) == (first == second)
