"""Maps from anything: a SoftCAM's evidence, post-hoc methods, and controls, behind one protocol."""

from softcam.explainers.explanation import Explainer, Explanation, ModelExplainer
from softcam.explainers.methods import METHODS, Method, Resolution, Sign
from softcam.explainers.registry import build_explainer, explainer_names

__all__ = [
    "METHODS",
    "Explainer",
    "Explanation",
    "Method",
    "ModelExplainer",
    "Resolution",
    "Sign",
    "build_explainer",
    "explainer_names",
]
