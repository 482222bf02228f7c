"""The codes in our DICOM objects: standard ones where there are any, and our own for what only evidence has."""

from __future__ import annotations

import hashlib

from highdicom import AlgorithmIdentificationSequence
from highdicom.sr import CodedConcept
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from softcam import __version__
from softcam.delivery.dicom.case import MANUFACTURER, SCHEME, Case

LOGIT = CodedConcept("logit", SCHEME, "Logit of the class")
EVIDENCE_TOTAL = CodedConcept("evidence-total", SCHEME, "Mean of the class evidence map, in logits")
BIAS = CodedConcept("bias", SCHEME, "Part of the logit that no image changes")
DECISION = CodedConcept("decision", SCHEME, "Decision of the model for the class")
LOGITS = CodedConcept("1", "UCUM", "logits")

_CODE_LENGTH, _MEANING_LENGTH = 16, 64  # DICOM PS3.3 8.1, 8.3


def of_class(name: str) -> CodedConcept:
    """Return the code of a class: its name where that is short enough for a code, else a hash of it."""
    code = name if len(name) <= _CODE_LENGTH else hashlib.sha256(name.encode()).hexdigest()[:_CODE_LENGTH]
    return CodedConcept(code, SCHEME, name[:_MEANING_LENGTH])


def algorithm(case: Case) -> AlgorithmIdentificationSequence:
    """Return what made an object."""
    return AlgorithmIdentificationSequence(
        name=f"softcam {case.card.backbone}"[:64],
        family=codes.DCM.ArtificialIntelligence,
        version=__version__,
        source=MANUFACTURER,
        parameters={"model": case.model, "maps": str(case.kind), "threshold": f"{case.threshold:g} logits"},
    )


def scheme_identification() -> Dataset:
    """Return the item that says whose scheme our own codes are of (DICOM PS3.3 C.12.1.1.18)."""
    item = Dataset()
    item.CodingSchemeDesignator = SCHEME
    item.CodingSchemeName = "softcam: class evidence"
    item.CodingSchemeResponsibleOrganization = MANUFACTURER
    return item
