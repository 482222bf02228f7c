"""``python -m softcam`` is the ``softcam`` command, also under torchrun and accelerate launch."""

from __future__ import annotations

import sys

from softcam.cli import main

if __name__ == "__main__":
    sys.exit(main())
