"""Opening image files that nobody vouches for: bounded before they are decoded, every failure translated."""

from __future__ import annotations

import os

from PIL import Image, ImageOps, UnidentifiedImageError

from ..errors import MLFeatureError
from .wording import quoted, wording

# About 89 million: what Pillow warns of by default (a quarter of a gigabyte of RGB).
MOST_PIXELS = 1024 * 1024 * 1024 // 4 // 3

# Pillow runs Ghostscript to read these.
_REFUSED_FORMATS = frozenset({"EPS"})


def open_image(path: str | os.PathLike[str], where: str, expected: str, *, upright: bool = True) -> Image.Image:
    """The decoded first image of a file, of any format that Pillow reads, but PostScript; turned as ``decoded`` does.

    Raises ``MLFeatureError`` where there is no such file, it is no image, it cannot be decoded, or it has more than
    ``MOST_PIXELS`` pixels.
    """
    got = f"the path {quoted(os.fspath(path))}"
    try:
        if not os.path.isfile(path):
            raise MLFeatureError(f"{where}: expected {expected}, got {got}, where there is {_what_is_at(path)}")
        Image.init()
        with Image.open(path, formats=[name for name in Image.ID if name not in _REFUSED_FORMATS]) as image:
            return decoded(image, where, expected, upright=upright)
    except MLFeatureError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise MLFeatureError(f"{where}: expected {expected} of at most {MOST_PIXELS} pixels, got {got}: {error}") from error
    except UnidentifiedImageError as error:
        raise MLFeatureError(f"{where}: expected {expected}, got {got}, a file that is no image that can be read") from error
    except Exception as error:  # decoders of broken files raise anything
        raise MLFeatureError(f"{where}: expected {expected}, got {got}, which cannot be read as an image: {error}") from error


def decoded(image: Image.Image, where: str, expected: str, *, upright: bool = True) -> Image.Image:
    """``image`` with its pixels in memory, turned as its EXIF orientation says if ``upright``; ``image`` itself is not changed.

    Raises ``MLFeatureError`` where it has no or more than ``MOST_PIXELS`` pixels, or cannot be decoded.
    """
    if not 0 < image.width * image.height <= MOST_PIXELS:
        raise MLFeatureError(f"{where}: expected {expected} of 1 to {MOST_PIXELS} pixels, got {wording(image)}")
    try:
        image.load()
        return ImageOps.exif_transpose(image) if upright else image
    except Exception as error:  # decoders of broken files raise anything
        raise MLFeatureError(f"{where}: expected {expected}, got {wording(image)} that cannot be decoded: {error}") from error


def _what_is_at(path: str | os.PathLike[str]) -> str:
    return "a folder" if os.path.isdir(path) else "no file"
