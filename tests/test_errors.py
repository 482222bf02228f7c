from __future__ import annotations

import pytest

import softcam
from softcam.errors import own_sentence


def test_a_sentence_comes_out_of_a_workers_traceback() -> None:
    told = (
        "Caught DataError in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n"
        '  File "x.py", line 1, in f\nsoftcam.errors.DataError: a.png, line 3: is broken; copy it again.\n'
    )
    assert own_sentence(told) == "a.png, line 3: is broken; copy it again."
    assert own_sentence("a.png: is broken") == "a.png: is broken"


@pytest.mark.parametrize("name", ["CheckpointError", "ConfigError", "ConversionError", "DataError"])
def test_every_error_on_purpose_can_be_caught_at_once(name: str) -> None:
    assert issubclass(getattr(softcam, name), softcam.SoftCAMError)
