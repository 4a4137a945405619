"""What is in the files of a watched folder, as examples with ids that are the same whenever and however often a file is read.

An id is made of the file's path within the folder and of what the example holds: what was taken once is known again, and a file that
changes has new examples where it has changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tailor import MLFeatureError, MLFeatureType
from tailor.client import NewExample
from tailor.runtime.data import Wanted, as_text, label_of, open_data, roles

from .files import Found, read_bytes

DIGITS = 16
"""Hex digits of a hash in an id: 64 bits, where two of a file have to differ."""

LONGEST = 120
"""Characters of a path in an id."""

MOST_EXAMPLES, PORTION = 10_000, 16 << 20
"""Examples, and bytes of what they are made of, that are kept at once."""

_encode = msgspec.msgpack.Encoder(order="deterministic").encode


@dataclass
class Portion:
    """Examples that are kept all or not at all; of each where it stands, for people, and of which file it is."""

    examples: list[NewExample] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    files: list[Found] = field(default_factory=list)
    size: int = 0

    @property
    def is_full(self) -> bool:
        """Whether no more should be kept at once."""
        return len(self.examples) >= MOST_EXAMPLES or self.size >= PORTION

    def add(self, example: NewExample, place: str, file: Found, size: int) -> None:
        """One more, of ``size`` bytes."""
        self.examples.append(example)
        self.places.append(place)
        self.files.append(file)
        self.size += size

    def part(self, begin: int, end: int | None = None) -> Portion:
        """Some of them."""
        return Portion(self.examples[begin:end], self.places[begin:end], self.files[begin:end])

    def without(self, names: Collection[str]) -> Portion:
        """What is of other files."""
        left = Portion()
        for example, place, one in zip(self.examples, self.places, self.files, strict=True):
            if one.name not in names:
                left.add(example, place, one, 0)
        return left


def image_example(folder: Path, found: Found, wanted: Wanted, most: int) -> tuple[NewExample, int]:
    """The example that an image file is, labelled by the sub-folder that it is in, and its bytes.

    Raises ``MLFeatureError`` where the model takes something other than one image and a label, or the image is not where it belongs;
    ``OSError`` where it cannot be read.
    """
    image, label = roles(folder, wanted)
    path, parts = folder / found.name, found.name.split("/")
    features: dict[str, Any] = {}
    if len(parts) == 1 and label is not None and label in wanted.must and not wanted.must[label].optional:
        raise MLFeatureError(f"{path}: expected images in sub-folders named by {label!r}, got one beside them")
    if len(parts) > 2:
        raise MLFeatureError(f"{path}: expected images in the folder or its sub-folders, got one further down")
    if len(parts) == 2 and label is not None:
        features[label] = label_of(path.parent, wanted.all[label])
    data = read_bytes(path, most)
    features[image] = data
    called = as_source(found.name)
    return NewExample(features=features, id=f"{called}@{sha256(data).hexdigest()[:DIGITS]}", source=called), len(data)


def portions(folder: Path, found: Found, wanted: Wanted, image_bytes: int) -> Iterator[Portion]:
    """The examples of a ``.csv``, ``.jsonl`` or ``.npz`` file. Rows that have an id or a source of their own keep it.

    Raises ``MLFeatureError`` naming the place of the first that does not fit, ``OSError`` where the file cannot be read.
    """
    path, called = folder / found.name, as_source(found.name)
    rows = open_data(path, wanted, folder)
    portion, before = Portion(), Counter[str]()
    for index in range(rows.count):
        place = rows.place(index)
        features = _on_the_wire(rows.features_at(index), wanted, f"{path}, {place}", image_bytes)
        origin = rows.origin_at(index)
        content = _content(features, f"{path}, {place}")
        digest = sha256(content).hexdigest()[:DIGITS]
        again = f".{before[digest]}" if before[digest] else ""  # of rows that are equal each counts
        before[digest] += 1
        source = called if origin.source in (None, as_text(path.name)) else origin.source
        new = NewExample(features=features, id=origin.id or f"{called}@{digest}{again}", source=source, time=origin.time)
        portion.add(new, place, found, len(content))
        if portion.is_full:
            yield portion
            portion = Portion()
    if portion.examples:
        yield portion


def as_source(name: str) -> str:
    """A path as text that is short enough to be part of an id, and differs where the path does."""
    text = as_text(name)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - DIGITS - 1]}~{sha256(text.encode()).hexdigest()[:DIGITS]}"


def _on_the_wire(features: Mapping[str, object], wanted: Wanted, where: str, image_bytes: int) -> dict[str, Any]:
    """Features as a client would send them: images as files' bytes."""
    told: dict[str, Any] = dict(features)
    for name, value in features.items():
        if wanted.all[name].type is MLFeatureType.IMAGE and value is not None:
            named = f"{where}, {name!r}"
            try:
                told[name] = read_bytes(value, image_bytes) if isinstance(value, Path) else _as_png(value, named)
            except OSError as error:
                raise MLFeatureError(f"{named}: expected an image that can be read, got {error}") from None
    return told


def _as_png(value: object, where: str) -> bytes:
    """Pixels as the bytes of a file. Raises ``MLFeatureError``, which ``where`` begins, for what is none."""
    pixels: NDArray[Any] = np.asarray(value)
    if pixels.ndim == 3 and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    grey, colour = pixels.ndim == 2, pixels.ndim == 3 and pixels.shape[-1] in (3, 4)
    levels = pixels.astype(np.uint8) if pixels.dtype.kind in "iuf" and np.all((pixels >= 0) & (pixels <= 255)) else None
    if not (grey or colour) or not pixels.size or levels is None or not np.array_equal(levels, pixels):
        got = f"{pixels.dtype} of shape {list(pixels.shape)}"
        raise MLFeatureError(f"{where}: expected whole numbers from 0 to 255, [H, W], [H, W, 3] or [H, W, 4], got {got}")
    Image.fromarray(levels).save(written := BytesIO(), "PNG")
    return written.getvalue()


def _content(features: Mapping[str, Any], where: str) -> bytes:
    """Bytes that are equal where an example is. Raises ``MLFeatureError``, which ``where`` begins, for what nobody can keep."""

    def plain(value: object) -> object:
        return [str(value.dtype), value.shape, value.tobytes()] if isinstance(value, np.ndarray) else value

    try:
        return _encode({name: plain(value) for name, value in features.items()})
    except (UnicodeEncodeError, OverflowError, RecursionError) as error:
        raise MLFeatureError(f"{where}: expected text, numbers of 64 bits, and lists of them, got what cannot be kept: {error}") from None
