"""What the model says, as Structured Report after template TID 1500."""

from __future__ import annotations

from highdicom import UID
from highdicom.sr import (
    AlgorithmIdentification,
    ComprehensiveSR,
    DeviceObserverIdentifyingAttributes,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    QualitativeEvaluation,
    SourceImageForMeasurementGroup,
    TrackingIdentifier,
)
from pydicom.sr.codedict import codes

from softcam import __version__
from softcam.delivery.dicom.case import MANUFACTURER, Case
from softcam.delivery.dicom.codes import BIAS, DECISION, EVIDENCE_TOTAL, LOGIT, LOGITS, of_class, scheme_identification
from softcam.reporting.selection import decide

WHAT, NUMBER = "report", 4
_DIGITS = 7  # of float32, and within the 16 characters of a DICOM number


def make_report(case: Case) -> ComprehensiveSR:
    """Make a report with probability, logit, evidence total, bias and decision for every class.

    The numbers add up: evidence total + bias = logit.
    """
    decided = decide(case.card, case.evidence.probabilities.tolist())
    groups = [_group(case, index, decided) for index in range(len(case.names))]
    content = MeasurementReport(
        observation_context=ObservationContext(observer_device_context=_observer(case)),
        procedure_reported=codes.SCT.ImagingProcedure,
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
        referenced_images=[case.header],
    )
    place = case.place(WHAT, NUMBER, case.evidence.logits.tobytes(), case.evidence.maps.tobytes())
    report = ComprehensiveSR(evidence=[case.header], content=content[0], is_complete=True, **place)
    report.SeriesDescription = place["series_description"]
    report.CodingSchemeIdentificationSequence = [scheme_identification()]
    return report


def _observer(case: Case) -> ObserverContext:
    return ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
            uid=UID(case.series_uid("device")),
            name=MANUFACTURER,
            manufacturer_name=MANUFACTURER,
            model_name=case.card.backbone[:64],
            serial_number=case.model,
        ),
    )


def _group(case: Case, index: int, decided: tuple[str, ...]) -> MeasurementsAndQualitativeEvaluations:
    name, evidence = case.names[index], case.evidence
    values = [
        (codes.DCM.Probability, evidence.probabilities[index], codes.UCUM.NoUnits),
        (LOGIT, evidence.logits[index], LOGITS),
        (EVIDENCE_TOTAL, evidence.totals[index], LOGITS),
        (BIAS, evidence.bias[index], LOGITS),
    ]
    present = codes.SCT.Present if name in decided else codes.SCT.Absent
    header = case.header
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(UID(case.uid(f"finding {index}")), f"softcam {name}"[:64]),
        finding_type=of_class(name),
        algorithm_id=AlgorithmIdentification(f"softcam {case.card.backbone}"[:64], __version__, [f"model {case.model}"]),
        measurements=[Measurement(what, _rounded(value), unit) for what, value, unit in values],
        qualitative_evaluations=[QualitativeEvaluation(DECISION, present)],
        source_images=[SourceImageForMeasurementGroup(header.SOPClassUID, header.SOPInstanceUID)],
    )


def _rounded(value: float) -> float:
    return float(f"{float(value):.{_DIGITS}g}")
