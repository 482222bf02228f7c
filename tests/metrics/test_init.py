from __future__ import annotations

import doctest
import importlib
import pkgutil
import subprocess
import sys

import pytest

import softcam.metrics

MODULES = [module.name for module in pkgutil.iter_modules(softcam.metrics.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name: str) -> None:
    result = doctest.testmod(importlib.import_module(f"softcam.metrics.{name}"))
    assert result.failed == 0


def test_every_public_name_is_where_the_package_says() -> None:
    for name in softcam.metrics.__all__:
        assert getattr(softcam.metrics, name) is not None
    assert dir(softcam.metrics) == sorted(softcam.metrics.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        softcam.metrics.nonsense  # noqa: B018


def test_classification_and_bootstrap_load_without_torch() -> None:
    code = "import sys, softcam.metrics.classification, softcam.metrics.bootstrap; print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"
