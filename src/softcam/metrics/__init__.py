"""What a classifier and its explanations are worth, in numbers.

Functions work on plain tensors and arrays and give one value per image where they can, so that means,
intervals, and tests can be taken over patients afterwards. The torchmetrics classes are thin: they stream the
sums of those functions and reduce correctly across processes. Nothing here knows of a model or a data set.

The public names are loaded on first use: the classification metrics and the bootstrap need only numpy. The
function ``locality`` shares its name with its module, so it is imported from there.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from softcam.metrics.baselines import (
        blurred_baseline as blurred_baseline,
        constant_baseline as constant_baseline,
    )
    from softcam.metrics.bootstrap import (
        Interval as Interval,
        PairedDifference as PairedDifference,
        bootstrap_interval as bootstrap_interval,
        bootstrap_table as bootstrap_table,
        nan_mean as nan_mean,
        paired_difference as paired_difference,
        paired_table as paired_table,
    )
    from softcam.metrics.classification import (
        METRICS as METRICS,
        Direction as Direction,
        class_auroc as class_auroc,
        classification_metrics as classification_metrics,
        confusion_matrix as confusion_matrix,
        one_vs_rest as one_vs_rest,
    )
    from softcam.metrics.curves import (
        Curve as Curve,
        auroc as auroc,
        average_precision as average_precision,
        pr_curve as pr_curve,
        roc_curve as roc_curve,
    )
    from softcam.metrics.delong import DeLongTest as DeLongTest, delong_test as delong_test
    from softcam.metrics.faithfulness import (
        deletion_curves as deletion_curves,
        insertion_curves as insertion_curves,
        removal_area as removal_area,
    )
    from softcam.metrics.grid import (
        patch_ranks as patch_ranks,
        patch_side as patch_side,
    )
    from softcam.metrics.locality import (
        Completeness as Completeness,
        Locality as Locality,
        completeness_error as completeness_error,
        locality_terms as locality_terms,
    )
    from softcam.metrics.localization import (
        ActivationConsistency as ActivationConsistency,
        ActivationPrecision as ActivationPrecision,
        ActivationSensitivity as ActivationSensitivity,
        PointingGame as PointingGame,
        activation_consistency as activation_consistency,
        activation_precision as activation_precision,
        activation_sensitivity as activation_sensitivity,
        ceiling_map as ceiling_map,
        chance_map as chance_map,
        pointing_game as pointing_game,
        upsample_maps as upsample_maps,
    )
    from softcam.metrics.overlap import (
        Dice as Dice,
        IoU as IoU,
        Overlap as Overlap,
        ThresholdSearch as ThresholdSearch,
        dice as dice,
        iou as iou,
        overlap_curves as overlap_curves,
        search_thresholds as search_thresholds,
    )
    from softcam.metrics.patches import (
        TopKPrecision as TopKPrecision,
        annotated_patches as annotated_patches,
        peak_patches as peak_patches,
        topk_chance as topk_chance,
        topk_precision as topk_precision,
    )
    from softcam.metrics.pixels import (
        PixelAUROC as PixelAUROC,
        PixelAveragePrecision as PixelAveragePrecision,
        pixel_auroc as pixel_auroc,
        pixel_average_precision as pixel_average_precision,
    )
    from softcam.metrics.removal import (
        Deletion as Deletion,
        Insertion as Insertion,
        RemovalCurves as RemovalCurves,
        Tracked as Tracked,
        deletion as deletion,
        insertion as insertion,
    )
    from softcam.metrics.robustness import (
        MaxSensitivity as MaxSensitivity,
        max_sensitivity as max_sensitivity,
    )
    from softcam.metrics.sanity import (
        Randomisation as Randomisation,
        RankCorrelation as RankCorrelation,
        Sanity as Sanity,
        randomisation as randomisation,
        rank_correlation as rank_correlation,
        weighted_layers as weighted_layers,
    )
    from softcam.metrics.sparsity import (
        hoyer_sparsity as hoyer_sparsity,
    )

_HOMES = {
    "baselines": ("blurred_baseline", "constant_baseline"),
    "bootstrap": (
        "Interval",
        "PairedDifference",
        "bootstrap_interval",
        "bootstrap_table",
        "nan_mean",
        "paired_difference",
        "paired_table",
    ),
    "classification": (
        "METRICS",
        "Direction",
        "class_auroc",
        "classification_metrics",
        "confusion_matrix",
        "one_vs_rest",
    ),
    "curves": ("Curve", "auroc", "average_precision", "pr_curve", "roc_curve"),
    "delong": ("DeLongTest", "delong_test"),
    "faithfulness": ("deletion_curves", "insertion_curves", "removal_area"),
    "grid": ("patch_ranks", "patch_side"),
    "locality": ("Completeness", "Locality", "completeness_error", "locality_terms"),
    "localization": (
        "ActivationConsistency",
        "ActivationPrecision",
        "ActivationSensitivity",
        "PointingGame",
        "activation_consistency",
        "activation_precision",
        "activation_sensitivity",
        "ceiling_map",
        "chance_map",
        "pointing_game",
        "upsample_maps",
    ),
    "overlap": ("Dice", "IoU", "Overlap", "ThresholdSearch", "dice", "iou", "overlap_curves", "search_thresholds"),
    "patches": ("TopKPrecision", "annotated_patches", "peak_patches", "topk_chance", "topk_precision"),
    "pixels": ("PixelAUROC", "PixelAveragePrecision", "pixel_auroc", "pixel_average_precision"),
    "removal": ("Deletion", "Insertion", "RemovalCurves", "Tracked", "deletion", "insertion"),
    "robustness": ("MaxSensitivity", "max_sensitivity"),
    "sanity": ("Randomisation", "RankCorrelation", "Sanity", "randomisation", "rank_correlation", "weighted_layers"),
    "sparsity": ("hoyer_sparsity",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'softcam.metrics' has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return __all__
