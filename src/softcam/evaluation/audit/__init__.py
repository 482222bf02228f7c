"""Audit: does anything but the finding tell the labels apart, and does the model look at it?"""

from __future__ import annotations

from softcam.evaluation.audit.regions import Roi
from softcam.evaluation.audit.run import Audit, Settings, audit
from softcam.evaluation.audit.verdict import Finding, Level

__all__ = ["Audit", "Finding", "Level", "Roi", "Settings", "audit"]
