"""Image operations against Pillow and literals worked by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tailor.kernels import (
    channel_biases,
    chw_to_image,
    gray_to_rgb,
    image_to_chw,
    resize,
    rgb_to_gray,
    scale_and_bias,
    subtract_mean,
)

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def noise(*shape: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(7).integers(0, 256, shape, dtype=np.uint8)


def pillow_resized(image: np.ndarray[Any, Any], height: int, width: int) -> np.ndarray[Any, Any]:
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))


def test_gray_is_pillows_luma() -> None:
    image = noise(64, 64, 3)
    assert np.array_equal(rgb_to_gray(image), np.asarray(Image.fromarray(image).convert("L")))
    assert rgb_to_gray(np.array([RED, GREEN, BLUE], dtype=np.uint8)).tolist() == [76, 150, 29]


def test_gray_to_colour_repeats_the_channel() -> None:
    assert gray_to_rgb(np.array([[[1, 2]]], dtype=np.uint8)).tolist() == [[[[1, 1, 1], [2, 2, 2]]]]


@pytest.mark.parametrize(("order", "channels"), [("rgb", [10, 20, 30]), ("bgr", [30, 20, 10])])
def test_colour_channels_in_the_models_order_and_back(order: Any, channels: list[int]) -> None:
    image = np.broadcast_to(np.array([10, 20, 30], dtype=np.uint8), (2, 4, 5, 3))
    tensor = image_to_chw(image, order)
    assert tensor.shape == (2, 3, 4, 5)
    assert tensor.dtype == np.float32
    assert tensor[1, :, 3, 4].tolist() == channels
    assert np.array_equal(chw_to_image(tensor, order), image)


def test_gray_gets_one_channel_and_loses_it_again() -> None:
    image = noise(2, 3, 4)
    tensor = image_to_chw(image, "gray")
    assert tensor.shape == (2, 1, 3, 4)
    assert np.array_equal(chw_to_image(tensor, "gray"), image)


def test_levels_are_rounded_half_to_even_and_clipped() -> None:
    values = np.array([-1.0, 0.4, 0.5, 1.5, 2.5, 254.6, 300.0, np.inf, -np.inf, np.nan], dtype=np.float32)
    levels = chw_to_image(values.reshape(1, 1, 1, -1), "gray")
    assert levels.dtype == np.uint8
    assert levels.ravel().tolist() == [0, 0, 0, 2, 2, 255, 255, 255, 0, 0]


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: image_to_chw(noise(2, 3, 4), "rgb"), r"\[N, H, W, 3\].*'rgb'.*\[2, 3, 4\]"),
        (lambda: image_to_chw(noise(2, 3, 4, 3), "gray"), r"\[N, H, W\].*'gray'.*\[2, 3, 4, 3\]"),
        (lambda: image_to_chw(noise(2, 3, 4), "yuv"), "'gray', 'rgb' or 'bgr'.*'yuv'"),  # type: ignore[arg-type]
        (lambda: chw_to_image(noise(2, 3, 4, 4), "gray"), r"\[N, 1, H, W\].*\[2, 3, 4, 4\]"),
        (lambda: scale_and_bias(np.zeros((3, 2, 2)), 1.0, (1.0,)), "3 channels, got 1"),
        (lambda: subtract_mean(np.zeros((3, 2, 2)), np.zeros(5)), r"\[3, 2, 2\].*5 values"),
        (lambda: resize(noise(1, 0, 3), 2, 2), r"at least 1x1.*\[1, 0, 3\]"),
        (lambda: resize(noise(1, 3, 3), 0, 2), "at least 1x1.*2x0"),
    ],
)
def test_what_does_not_fit_is_refused(call: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        call()


def test_scale_first_then_the_bias_of_each_channel() -> None:
    pixel = np.array([10.0, 20.0, 30.0], dtype=np.float32).reshape(1, 3, 1, 1)
    biases = channel_biases("bgr", red=1.0, green=2.0, blue=3.0, gray=9.0)
    assert biases == (3.0, 2.0, 1.0)
    scaled = scale_and_bias(pixel, 0.5, biases)
    assert scaled.ravel().tolist() == [8.0, 12.0, 16.0]
    assert scaled.dtype == np.float32
    assert pixel.ravel().tolist() == [10.0, 20.0, 30.0]
    assert channel_biases("rgb", red=1.0, green=2.0, blue=3.0, gray=9.0) == (1.0, 2.0, 3.0)
    assert channel_biases("gray", red=1.0, green=2.0, blue=3.0, gray=9.0) == (9.0,)


@pytest.mark.parametrize("shape", [(3, 2, 2), (12,)])
def test_the_mean_image_is_subtracted_from_every_example(shape: tuple[int, ...]) -> None:
    tensor = np.full((2, 3, 2, 2), 20.0, dtype=np.float32)
    difference = subtract_mean(tensor, np.arange(12, dtype=np.float64).reshape(shape))
    assert difference.dtype == np.float32
    assert difference[1].ravel().tolist() == [20.0 - mean for mean in range(12)]


SIZES = st.integers(1, 40)


@settings(max_examples=60, deadline=None)
@given(SIZES, SIZES, SIZES, st.sampled_from([(), (3,)]))
def test_one_axis_resized_is_pillows_bilinear_to_the_bit(fixed: int, source: int, target: int, channels: tuple[int, ...]) -> None:
    tall = noise(source, fixed, *channels)
    assert np.array_equal(resize(tall[None], target, fixed)[0], pillow_resized(tall, target, fixed))
    wide = noise(fixed, source, *channels)
    assert np.array_equal(resize(wide[None], fixed, target)[0], pillow_resized(wide, fixed, target))


@settings(max_examples=60, deadline=None)
@given(SIZES, SIZES, SIZES, SIZES)
def test_two_axes_differ_from_pillow_by_the_rounding_between_passes_at_most(high: int, wide: int, height: int, width: int) -> None:
    image = noise(high, wide, 3)
    resized = resize(image[None], height, width)[0]
    assert resized.shape == (height, width, 3)
    assert np.abs(resized.astype(int) - pillow_resized(image, height, width)).max() <= 1


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_are_resized_without_rounding_to_levels(dtype: Any) -> None:
    image = np.random.default_rng(3).normal(size=(1, 11, 17)).astype(dtype)
    resized = resize(image, 5, 29)
    assert resized.dtype == dtype
    expected = pillow_resized(image[0].astype(np.float32), 5, 29)
    assert np.allclose(resized[0], expected, atol=4e-3 if dtype is np.float16 else 1e-5)


def test_each_of_a_batch_is_resized_by_itself() -> None:
    batch = noise(3, 9, 7, 3)
    one_by_one = np.concatenate([resize(batch[index : index + 1], 4, 10) for index in range(3)])
    assert np.array_equal(resize(batch, 4, 10), one_by_one)
    assert np.array_equal(resize(batch, 9, 7), batch)
