from __future__ import annotations

import math

import pytest

from softcam.data.phantoms import PhantomKind, PhantomOptions
from softcam.errors import ConfigError


def test_kind_may_be_given_by_name() -> None:
    assert PhantomOptions(kind="oct").kind is PhantomKind.OCT


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("kind", "mri", "phantom kind is 'mri'; choose one of fundus, chest, oct."),
        ("size", 63, "phantom size is 63; choose a value from 64 to 4096."),
        ("size", 5000, "phantom size is 5000; choose a value from 64 to 4096."),
        ("size", 128.0, "phantom size is 128.0; give a whole number of pixels."),
        ("prevalence", 1.1, "phantom prevalence is 1.1; choose a value from 0 to 1."),
        ("lesion_size", 0.0, "phantom lesion_size is 0.0; choose a value from 0.5 to 2."),
        ("lesion_contrast", 2.5, "phantom lesion_contrast is 2.5; choose a value from 0.5 to 2."),
        ("noise", -1.0, "phantom noise is -1.0; choose a value from 0 to 4."),
        ("variation", math.nan, "phantom variation is nan; choose a value from 0 to 1.5."),
        ("shortcut", 1.01, "phantom shortcut is 1.01; choose a value from -1 to 1."),
    ],
)
def test_wrong_option_is_named_with_its_value_and_range(option: str, value: object, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        PhantomOptions(**{option: value})
    assert str(error.value) == message
