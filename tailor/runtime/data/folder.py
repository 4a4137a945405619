"""A folder of images, in sub-folders named by label."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from ..errors import MLFeatureError
from ..values import MLExampleOrigin, MLFeatureDescription, MLFeatureType
from .origin import as_text
from .values import whole_number
from .wanted import Wanted


class ImageFolder:
    """The images of a folder as examples: sub-folders in the order of their names, images in the order of theirs."""

    def __init__(self, folder: Path, image: str, label: str | None, images: list[tuple[Path, str | int | None]]) -> None:
        self._folder = folder
        self._image = image
        self._label = label
        self._images = images

    @property
    def count(self) -> int:
        """The number of images."""
        return len(self._images)

    def features_at(self, index: int) -> Mapping[str, object]:
        """The path of one image, and its label where it stands in a sub-folder."""
        path, label = self._images[index]
        features: dict[str, object] = {self._image: path}
        if self._label is not None and label is not None:
            features[self._label] = label
        return features

    def origin_at(self, index: int) -> MLExampleOrigin:
        """The image's path within the folder is its id, the folder the source."""
        return MLExampleOrigin(as_text(self.place(index)), as_text(self._folder.resolve().name) or None)

    def place(self, index: int) -> str:
        """The image's path within the folder."""
        return self._images[index][0].relative_to(self._folder).as_posix()


def open_folder(folder: Path, wanted: Wanted) -> ImageFolder:
    """The images below ``folder``. Where a label must be known they stand in sub-folders; otherwise they may stand in it.

    Raises ``MLFeatureError`` where the model does not take one image (and a label), a folder's name is no label of the
    right type, or a sub-folder holds no images.
    """
    image, label = roles(folder, wanted)
    described = wanted.all.get(label) if label is not None else None
    images: list[tuple[Path, str | int | None]] = [(path, None) for path in _images_in(folder)]
    if images and label in wanted.must:
        raise MLFeatureError(f"{folder}: expected images in sub-folders named by {label!r}, got {images[0][0].name!r} beside them")
    for child in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        found = _images_in(child)
        if not found:
            raise MLFeatureError(f"{child}: expected images, found none")
        named = label_of(child, described) if described is not None else None
        images += [(path, named) for path in found]
    return ImageFolder(folder, image, label, images)


def roles(folder: Path, wanted: Wanted) -> tuple[str, str | None]:
    """Which feature the images are, and which one the names of the sub-folders."""
    image = [name for name, feature in wanted.must.items() if feature.type is MLFeatureType.IMAGE]
    label = wanted.label
    rest = [name for name, feature in wanted.must.items() if name not in (*image, label) and not feature.optional]
    if len(image) != 1 or rest:
        needs = ", ".join(f"{name!r} ({feature.phrase})" for name, feature in wanted.must.items())
        raise MLFeatureError(f"{folder}: a folder gives one image and a label an example; this model needs {needs}: use .jsonl or .npz")
    return image[0], label


def is_image(path: Path) -> bool:
    """Whether a file is one by its name."""
    return path.suffix.lower() in Image.registered_extensions()


def _images_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if is_image(path) and not path.name.startswith(".") and path.is_file())


def label_of(folder: Path, described: MLFeatureDescription) -> str | int:
    """The label that the name of a folder is; raises ``MLFeatureError`` for none of the right type."""
    if described.type is MLFeatureType.STRING:
        return folder.name
    return whole_number(folder.name, described, f"{folder}: the name of a folder is the label {described.name!r}")
