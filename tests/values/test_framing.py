"""Which part of a picture a model sees, which way up and how scaled; Pillow's operations are the reference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from tailor.kernels import resize
from tailor.runtime.errors import MLFeatureError
from tailor.runtime.values import MLFeatureValue, MLImageCropAndScale, MLImageOption, SizeRange, accept, accept_column

from .described import DOUBLE, array, image

CENTER, FIT, FILL = MLImageCropAndScale
BILINEAR = Image.Resampling.BILINEAR
SMOOTH = np.add.outer(np.arange(40) * 3, np.arange(60)).astype(np.uint8)
PICTURE = Image.fromarray(np.dstack([SMOOTH, SMOOTH[::-1], SMOOTH[:, ::-1]]))


def options(scale: MLImageCropAndScale | None = None, rect: tuple[float, ...] | None = None) -> dict[MLImageOption, Any]:
    given = {MLImageOption.CROP_AND_SCALE: scale, MLImageOption.CROP_RECT: rect}
    return {option: value for option, value in given.items() if value is not None}


def seen(size: tuple[int, int], picture: Any = PICTURE, colors: str = "RGB", **how: Any) -> Any:
    return accept(image(*size, colors), MLFeatureValue.image(picture, **how))


SIZES = [(20, 20), (30, 10), (7, 33), (120, 80), (100, 40), (1, 1), (60, 39)]


@pytest.mark.parametrize("size", SIZES)
def test_each_way_to_scale_is_pillows(size: tuple[int, int]) -> None:
    references = {
        CENTER: ImageOps.fit(PICTURE, size, BILINEAR),
        FILL: PICTURE.resize(size, BILINEAR),
        None: PICTURE.resize(size, BILINEAR),
    }
    for scale, reference in references.items():
        got = seen(size, options=options(scale)).astype(int)
        assert got.shape == (size[1], size[0], 3)
        assert np.abs(got - np.asarray(reference)).max() <= 1  # Pillow orders the two passes otherwise


@pytest.mark.parametrize("size", [(20, 20), (30, 10), (8, 33), (120, 90), (100, 40)])
def test_the_whole_picture_fits_between_bars(size: tuple[int, int]) -> None:
    reference = ImageOps.pad(PICTURE, size, BILINEAR, color=(0, 0, 0))
    assert np.abs(seen(size, options=options(FIT)).astype(int) - np.asarray(reference)).max() <= 1


DOTS = np.arange(1, 9, dtype=np.uint8).reshape(2, 4)


@pytest.mark.parametrize(
    ("scale", "rect", "size", "pixels"),
    [
        (CENTER, None, (2, 2), [[2, 3], [6, 7]]),
        (FIT, None, (4, 4), [[0] * 4, [1, 2, 3, 4], [5, 6, 7, 8], [0] * 4]),
        (FILL, (0.5, 0.0, 0.5, 1.0), (2, 2), [[3, 4], [7, 8]]),
        (None, (0.25, 0.5, 0.25, 0.5), (1, 1), [[6]]),
        (FIT, (0.0, 0.0, 0.25, 1.0), (2, 2), [[1, 0], [5, 0]]),
        (CENTER, (0.0, 0.5, 1.0, 0.5), (2, 1), [[6, 7]]),
        (None, (0.9, 0.9, 0.01, 0.01), (1, 1), [[8]]),  # one pixel at least
    ],
)
@pytest.mark.parametrize("kind", ["array", "picture", "half floats"])
def test_pixels_worked_out_by_hand(scale: Any, rect: Any, size: tuple[int, int], pixels: Any, kind: str) -> None:
    given = Image.fromarray(DOTS) if kind == "picture" else DOTS
    colors = "GRAYSCALE_FLOAT16" if kind == "half floats" else "GRAYSCALE"
    assert seen(size, given, colors, options=options(scale, rect)).tolist() == pixels


def test_a_size_that_the_model_takes_is_not_scaled() -> None:
    flexible = image(2, 2, width_range=SizeRange(2, 9), height_range=SizeRange(2, 9))
    for scale in MLImageCropAndScale:
        assert accept(flexible, MLFeatureValue.image(DOTS, options=options(scale))).tolist() == DOTS.tolist()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_orientation_turns_as_exif_does(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    PICTURE.save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as stored:
        upright = ImageOps.exif_transpose(stored)
    for picture in (PICTURE, np.asarray(PICTURE), tmp_path / "turned.png"):
        assert np.array_equal(seen(upright.size, picture, orientation=orientation), np.asarray(upright))
    assert np.array_equal(seen(upright.size, tmp_path / "turned.png"), np.asarray(upright))
    # what is said to the value comes before what the file says
    assert np.array_equal(seen(PICTURE.size, tmp_path / "turned.png", orientation=1), np.asarray(PICTURE))


def test_the_part_is_one_of_the_upright_picture() -> None:
    turned = np.rot90(DOTS, -1)  # [[5, 1], [6, 2], [7, 3], [8, 4]]
    assert seen((2, 2), DOTS, "GRAYSCALE", orientation=6, options=options(rect=(0.0, 0.0, 1.0, 0.5))).tolist() == turned[:2].tolist()


def test_each_picture_of_a_column_has_its_own_framing() -> None:
    values = [MLFeatureValue.image(DOTS, options=options(rect=(x, 0.0, 0.25, 0.5))) for x in (0.0, 0.25, 0.5)]
    assert np.asarray(accept_column(image(1, 1), values)).ravel().tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"orientation": 0}, r"orientation: expected EXIF's 1\.\.8, got an int 0"),
        ({"orientation": "up"}, "orientation: expected EXIF's .* got a str 'up'"),
        ({"orientation": [1]}, r"orientation: expected EXIF's 1\.\.8, got a list of 1"),
        ({"options": [1]}, "expected options as a mapping from MLImageOption, got a list of 1"),
        ({"options": {"crop": 1}}, "expected options among cropRect, cropAndScale, got crop"),
        ({"options": options(3)}, "cropAndScale: expected an MLImageCropAndScale, got an int 3"),  # type: ignore[arg-type]
        ({"options": options(rect=(0, 0, 1))}, r"cropRect: expected \(x, y, width, height\), got a tuple of 3"),
        ({"options": options(rect=(0, 0, 0, 1))}, "cropRect: expected fractions within 0..1 of a size above 0"),
        ({"options": options(rect=(0.5, 0, 0.6, 1))}, "cropRect: expected fractions within 0..1"),
        ({"options": options(rect=(float("nan"), 0, 1, 1))}, "cropRect: expected fractions within 0..1"),
    ],
)
def test_refusals(how: dict[str, Any], told: str) -> None:
    with pytest.raises(MLFeatureError, match=f"^MLFeatureValue: {told}"):
        MLFeatureValue.image(PICTURE, **how)


def test_values_are_equal_where_their_framing_is() -> None:
    framed = MLFeatureValue.image(DOTS, orientation=3)
    assert framed == MLFeatureValue(framed) == MLFeatureValue.image(DOTS, orientation=3)
    assert framed != MLFeatureValue.image(DOTS)


@pytest.mark.parametrize("box", [(0.0, 0.0, 60.0, 40.0), (10.0, 5.0, 31.0, 17.0), (0.5, 3.25, 59.75, 20.5)])
@pytest.mark.parametrize("size", [(5, 3), (60, 40), (90, 15)])
def test_a_part_is_resized_as_pillow_does(box: tuple[float, ...], size: tuple[int, int]) -> None:
    reference = np.asarray(PICTURE.resize(size, BILINEAR, box)).astype(int)
    assert np.abs(resize(np.asarray(PICTURE)[None], size[1], size[0], box)[0] - reference).max() <= 1  # type: ignore[arg-type]


def test_an_undefined_value_has_a_type_and_no_more() -> None:
    kind = MLFeatureValue(1.5).type
    undefined = MLFeatureValue.undefined(kind)
    assert undefined.is_undefined
    assert not MLFeatureValue(1.5).is_undefined
    assert undefined == MLFeatureValue.undefined(kind)
    assert undefined != MLFeatureValue.undefined(MLFeatureValue("a").type)
    assert repr(undefined) == "<MLFeatureValue DOUBLE: undefined>"
    with pytest.raises(MLFeatureError, match="expected a value of type DOUBLE, got an undefined one"):
        _ = undefined.double_value
    for described, phrase in ((DOUBLE, "a double"), (array(2), "a float32 multi-array"), (image(2, 2), "an image")):
        with pytest.raises(MLFeatureError, match=f"expected {phrase}.*, got an undefined value"):
            accept(described, undefined)
