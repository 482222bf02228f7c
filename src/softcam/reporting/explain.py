"""The evidence in image files: images are read, explained and written at the same time, in constant memory."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from softcam.data.images import read_image
from softcam.data.preprocessing import Preprocessing
from softcam.errors import CheckpointError, ConfigError, ConversionError, DataError, SoftCAMError
from softcam.model.checkpoint import Checkpoint, Head, ModelCard
from softcam.model.convert import convert
from softcam.model.evidence import Evidence
from softcam.reporting.overlay import Picture, to_picture
from softcam.reporting.record import Explained, ImageEvidence, Recorder, split_batch
from softcam.reporting.selection import ExplainOptions, common_limit
from softcam.reporting.sources import Failure, Source, list_sources, spread_first

SCALE_IMAGES = 32
"""Images whose evidence sets the common scale where no limit is given."""

_NOT_FINITE = "gives evidence that is not finite; check the weights of the model"

_log = logging.getLogger(__name__)


@runtime_checkable
class SelfExplaining(Protocol):
    """A model that gives evidence: a :class:`softcam.SoftCAM`, in PyTorch or exported."""

    def explain(self, images: Tensor) -> Evidence:
        """Return the decision and its evidence for images ``(N, C, H, W)``."""


@dataclass(frozen=True)
class ExplainResult:
    """What came of explaining images.

    Attributes:
        out: Folder of the results.
        images: The explained images, in the order in which they were given.
        failures: Files that could not be explained.
        limit: Logits at full colour in all pictures; None where there are none.
        converted: Whether the model was a black box, converted for this or when it was exported.
    """

    out: Path
    images: tuple[Explained, ...]
    failures: tuple[Failure, ...]
    limit: float | None
    converted: bool


def explain_images(
    checkpoint: Checkpoint,
    paths: Iterable[str | Path],
    out: str | Path,
    options: ExplainOptions = ExplainOptions(),  # noqa: B008 — frozen
) -> ExplainResult:
    """Write pictures, maps and numbers of the evidence in images.

    For each image ``NAME``: ``NAME.CLASS.png`` for every class shown (at the size of the image, its longer side
    brought to 256 to 1024 px), ``NAME.npz`` with ``maps`` ``(K, h, w)`` without bias, ``logits``, ``bias`` and
    ``classes``, and ``NAME.json``. For the names see `softcam.reporting.sources.list_sources`.

    All pictures have one scale, in logits. Without ``options.limit`` it is the `common_limit` of 32 images evenly
    spread over those of this call (of all, if there are fewer); they are explained first, so that every image is read
    and explained once. Evidence beyond the limit has the strongest colour. To compare pictures of several calls, give
    them the same limit.

    A file that cannot be read is logged as an error and left out.

    Args:
        checkpoint: The model, exported ones included. A black box whose conversion is exact is converted.
        paths: Image files, and folders, which are searched with the folders below.
        out: Folder to write to; files of the same name are replaced.
        options: What to show.

    Returns:
        What was written, and what could not be explained.

    Raises:
        ConfigError: The model has no such class, or ``out`` holds one of the images.
        ConversionError: The model is a black box that cannot be converted without changing its decisions.
        CheckpointError: The model's card does not say how to prepare images.
        DataError: With ``options.strict``, a file cannot be explained.
    """
    options.check_classes(checkpoint.card)
    preprocessing = preprocessing_of(checkpoint.card)
    model = _self_explaining(checkpoint)
    converted = checkpoint.card.head is Head.GAP
    place = next(checkpoint.model.parameters(), torch.empty(0))
    out = Path(out)
    sources, missing = list_sources(map(Path, paths), out)
    failures = _Failures(options.strict)
    for failure in missing:
        failures.add(failure.path, failure.reason)
    with ExitStack() as stack:
        readers, writers = (stack.enter_context(_threads()) for _ in range(2))
        stack.enter_context(logging_redirect_tqdm())
        progress = stack.enter_context(tqdm(total=len(sources), desc="explaining", unit="image", disable=None))
        album = _Album(Recorder(checkpoint.card, options, out, converted), writers, min(SCALE_IMAGES, len(sources)))
        ordered = sources if options.limit is not None else spread_first(sources, SCALE_IMAGES)
        loading = _ahead(readers, lambda source: _load(source, preprocessing), ordered, depth=options.batch_size + 2)
        for batch in _batches(_readable(loading, failures, progress), options.batch_size):
            inputs = torch.stack([image.inputs for image in batch]).to(place.device, place.dtype)
            for image, evidence in zip(batch, split_batch(model.explain(inputs), options.shown), strict=True):
                if evidence.finite:
                    album.add(image, evidence)
                else:
                    failures.add(image.source.path, f"{image.source.path} {_NOT_FINITE}")
            progress.update(len(batch))
        images = album.finish()
    return ExplainResult(out, images, tuple(failures.found), album.limit, converted)


@dataclass(frozen=True)
class _Loaded:
    """An image on its way: what the network sees, and what people see."""

    source: Source
    inputs: Tensor
    picture: Picture
    size: tuple[int, int]


class _Failures:
    """What could not be explained; the first ends it all where that is wanted."""

    def __init__(self, strict: bool) -> None:
        self._strict = strict
        self.found: list[Failure] = []

    def add(self, path: Path, reason: str) -> None:
        if self._strict:
            raise DataError(reason)
        _log.error("%s", reason)
        self.found.append(Failure(path, reason))


class _Album:
    """Hands images to the writing threads, once the scale is known; until then it keeps them, a few at most."""

    def __init__(self, recorder: Recorder, writers: ThreadPoolExecutor, wait_for: int) -> None:
        self.limit = recorder.options.limit
        self._recorder = recorder
        self._writers = writers
        self._wait_for = wait_for
        self._kept: list[tuple[_Loaded, ImageEvidence]] = []
        self._writing: deque[tuple[int, Future[Explained]]] = deque()
        self._written: list[tuple[int, Explained]] = []

    def add(self, image: _Loaded, evidence: ImageEvidence) -> None:
        self._kept.append((image, evidence))
        if self.limit is not None or len(self._kept) >= self._wait_for:
            self._release()

    def finish(self) -> tuple[Explained, ...]:
        """Wait for the last image to be written, and return all in their first order."""
        self._release()
        while self._writing:
            self._collect()
        return tuple(explained for _, explained in sorted(self._written, key=lambda pair: pair[0]))

    def _release(self) -> None:
        if not self._kept:
            return
        if self.limit is None:
            self.limit = common_limit(evidence.shown for _, evidence in self._kept)
        for image, evidence in self._kept:
            self._write(image, evidence, self.limit)
        self._kept.clear()

    def _write(self, image: _Loaded, evidence: ImageEvidence, limit: float) -> None:
        write = self._recorder.write
        writing = self._writers.submit(write, image.source, image.picture, image.size, evidence, limit)
        self._writing.append((image.source.index, writing))
        while len(self._writing) > 2 * self._recorder.options.batch_size:
            self._collect()

    def _collect(self) -> None:
        index, writing = self._writing.popleft()
        self._written.append((index, writing.result()))


def preprocessing_of(card: ModelCard) -> Preprocessing:
    """Return what a model asks of images.

    Raises:
        CheckpointError: Its card does not say it.
    """
    try:
        return Preprocessing.from_dict(card.preprocessing)
    except ConfigError as error:
        raise CheckpointError(f"the model's card does not say how to prepare images ({error}); save it again") from None


def _self_explaining(checkpoint: Checkpoint) -> SelfExplaining:
    if isinstance(checkpoint.model, SelfExplaining):
        return checkpoint.model
    model = convert(checkpoint.model, task=checkpoint.card.task)
    if model.report is not None and not model.report.exact:
        raise ConversionError(
            f"the model is a black box ({checkpoint.card.backbone}) whose decisions would change when it is converted, "
            "so its evidence cannot be shown; train it with --head softcam"
        )
    _log.warning("the model is a black box; it was converted, which leaves its decisions as they are")
    return model


def _threads() -> ThreadPoolExecutor:
    """Threads that leave the other cores to the network; the setting of torch is that of the thread alone."""
    return ThreadPoolExecutor(min(8, os.cpu_count() or 1), initializer=torch.set_num_threads, initargs=(1,))


def _load(source: Source, preprocessing: Preprocessing) -> _Loaded:
    pixels = read_image(source.path).pixels
    height, width = pixels.shape[1:]
    return _Loaded(source, preprocessing(pixels), to_picture(pixels.numpy()), (height, width))


def _ahead(
    pool: ThreadPoolExecutor, load: Callable[[Source], _Loaded], sources: Iterable[Source], depth: int
) -> Iterator[tuple[Source, Future[_Loaded]]]:
    """Load images in the background, at most ``depth`` ahead."""
    waiting: deque[tuple[Source, Future[_Loaded]]] = deque()
    for source in sources:
        waiting.append((source, pool.submit(load, source)))
        if len(waiting) > depth:
            yield waiting.popleft()
    yield from waiting


def _readable(
    loading: Iterable[tuple[Source, Future[_Loaded]]], failures: _Failures, progress: tqdm[Any]
) -> Iterator[_Loaded]:
    for source, future in loading:
        try:
            yield future.result()
        except (SoftCAMError, OSError) as error:
            failures.add(source.path, str(error))
            progress.update()


def _batches(images: Iterable[_Loaded], size: int) -> Iterator[list[_Loaded]]:
    batch: list[_Loaded] = []
    for image in images:
        batch.append(image)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
