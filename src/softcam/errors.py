"""The errors that a user can meet: one sentence each, naming the file or value and the mend."""

from __future__ import annotations


class SoftCAMError(Exception):
    """Base of every error that softcam raises on purpose."""


class ConversionError(SoftCAMError):
    """A network cannot be converted; the message says what ends it and what to do."""


class DataError(SoftCAMError):
    """An image, an annotation, or a manifest is missing, broken, or contradicts itself."""


class ConfigError(SoftCAMError):
    """A setting is out of range, or two settings contradict each other."""


class CheckpointError(SoftCAMError):
    """A folder is not a checkpoint, or does not fit the network it is loaded into."""


def own_sentence(message: str) -> str:
    """Return the sentence of an error: a loader's worker process hands it on inside a traceback, as text."""
    if "DataLoader worker" not in message:
        return message
    return message.rstrip().splitlines()[-1].partition(": ")[2]
