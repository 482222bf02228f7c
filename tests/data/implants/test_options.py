from __future__ import annotations

import pytest

from softcam.data.implants import ImplantKind, ImplantOptions
from softcam.errors import ConfigError


@pytest.mark.parametrize("value", [0.49, 2.01, float("nan"), float("inf"), -1])
def test_a_scale_out_of_range_is_named(value: float) -> None:
    with pytest.raises(ConfigError, match=r"^implant lesion_size is .*; choose a value from 0.5 to 2\.$"):
        ImplantOptions(ImplantKind.CHEST, lesion_size=value)
    with pytest.raises(ConfigError, match=r"^implant contrast is .*; choose a value from 0.5 to 2\.$"):
        ImplantOptions(ImplantKind.FUNDUS, contrast=value)
