"""How logits become probabilities."""

from __future__ import annotations

from enum import StrEnum

from torch import Tensor


class Task(StrEnum):
    """What a classifier's outputs mean.

    Attributes:
        MULTICLASS: Exactly one of K ≥ 2 classes; softmax over the logits. A binary classifier with two
            outputs is of this kind.
        BINARY: One output; its sigmoid is the probability of the positive class.
        MULTILABEL: K independent yes/no questions; one sigmoid each.
    """

    MULTICLASS = "multiclass"
    BINARY = "binary"
    MULTILABEL = "multilabel"

    @classmethod
    def infer(cls, num_classes: int) -> Task:
        """Return the usual task of a classifier with ``num_classes`` outputs."""
        return cls.BINARY if num_classes == 1 else cls.MULTICLASS

    def probabilities(self, logits: Tensor) -> Tensor:
        """Turn logits ``(N, K)`` into probabilities ``(N, K)`` in [0, 1]."""
        return logits.softmax(dim=1) if self is Task.MULTICLASS else logits.sigmoid()
