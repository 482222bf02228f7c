from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from hypothesis import settings

torch.set_num_threads(min(2, os.cpu_count() or 1))

# the same examples in every run; HYPOTHESIS_PROFILE=explore looks for new ones
settings.register_profile("reproducible", derandomize=True)
settings.register_profile("explore", derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "reproducible"))


@pytest.fixture
def real_data() -> Path:
    """Folder of real images, beside the checkout or named by SOFTCAM_REAL_DATA; skips without it."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("SOFTCAM_REAL_DATA", default))
    if not folder.is_dir():
        pytest.skip("the real images are not here (set SOFTCAM_REAL_DATA to their folder)")
    return folder
