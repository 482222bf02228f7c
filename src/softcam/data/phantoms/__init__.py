"""Generated images that mimic fundus photographs, chest radiographs and OCT scans, with exact lesion masks."""

from softcam.data.phantoms.make import LESION_THRESHOLD, Phantom, label_of, make_phantom
from softcam.data.phantoms.options import PhantomKind, PhantomOptions
from softcam.data.phantoms.write import write_phantoms

__all__ = [
    "LESION_THRESHOLD",
    "Phantom",
    "PhantomKind",
    "PhantomOptions",
    "label_of",
    "make_phantom",
    "write_phantoms",
]
