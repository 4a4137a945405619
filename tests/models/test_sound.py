"""The log mel spectrogram, against its definition written out: a Fourier sum a frame, a triangle a band."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tailor import MLFeatureError, MLFormatError, MLModel
from tailor.kernels import sound
from tailor.runtime.format import Model, array_feature
from tailor.runtime.models import build_predictor

SAMPLES = 15_600


def preprocessing() -> Model:
    made = Model(specificationVersion=4)
    made.soundAnalysisPreprocessing.vggish.SetInParent()
    made.description.input.append(array_feature("audio", [SAMPLES]))
    made.description.output.append(array_feature("mel", [1, 96, 64]))
    return made


def hertz(mel: float) -> float:
    return 700 * (math.exp(mel / 1127) - 1)


def mel(frequency: float) -> float:
    return 1127 * math.log(1 + frequency / 700)


def written_out(samples: Any) -> Any:
    """The spectrogram by sums over sines and cosines, band by band; 96 frames of 64."""
    step = (mel(7500) - mel(125)) / 65
    corners = [mel(125) + number * step for number in range(66)]
    times = np.arange(400)
    angles = 2 * np.pi * np.outer(np.arange(257), times) / 512  # zeros behind the 400 add nothing
    real, imaginary = np.cos(angles), np.sin(angles)
    window = np.sin(np.pi * times / 400) ** 2
    weights = np.zeros((257, 64))
    for band in range(64):
        left, middle, right = corners[band : band + 3]
        for number in range(257):
            pitch = mel(number * 16000 / 512)
            if left < pitch <= middle:
                weights[number, band] = (pitch - left) / (middle - left)
            elif middle < pitch < right:
                weights[number, band] = (right - pitch) / (right - middle)
    made = np.empty((96, 64))
    for frame in range(96):
        piece = samples[160 * frame : 160 * frame + 400] * window
        magnitudes = np.sqrt((real @ piece) ** 2 + (imaginary @ piece) ** 2)
        made[frame] = np.log(magnitudes @ weights + 0.01)
    return made


@pytest.fixture(scope="module")
def sounds() -> Any:
    random = np.random.default_rng(5)
    time = np.arange(SAMPLES) / 16000
    made = [random.normal(scale=0.1, size=SAMPLES), np.sin(2 * np.pi * 440 * time), np.sin(2 * np.pi * (100 + 3000 * time) * time)]
    return np.array(made, np.float32)


def test_it_is_its_definition(sounds: Any) -> None:
    answers = MLModel.from_spec(preprocessing()).predict([{"audio": samples} for samples in sounds])
    for samples, answer in zip(sounds, answers, strict=True):
        assert answer["mel"].shape == (1, 96, 64)
        assert answer["mel"].dtype == np.float32
        np.testing.assert_allclose(answer["mel"][0], written_out(samples.astype(np.float64)), rtol=1e-6, atol=1e-6)


def test_silence_is_the_offset_and_a_tone_is_loudest_in_its_band() -> None:
    model = MLModel.from_spec(preprocessing())
    np.testing.assert_allclose(model.predict({"audio": np.zeros(SAMPLES)})["mel"], math.log(0.01), rtol=1e-6)
    step = (mel(7500) - mel(125)) / 65
    for band in (20, 40, 60):
        frequency = hertz(mel(125) + (band + 1) * step)
        tone = np.sin(2 * np.pi * frequency * np.arange(SAMPLES) / 16000)
        assert set(model.predict({"audio": tone})["mel"][0].argmax(axis=1)) == {band}


def test_one_and_many_are_the_same_bit_for_bit(sounds: Any) -> None:
    model = MLModel.from_spec(preprocessing())
    rows = [{"audio": sounds[number % 3] * np.float32(1 + number)} for number in range(37)]
    for row, answer in zip(rows, model.predict(rows), strict=True):
        np.testing.assert_array_equal(answer["mel"], model.predict(row)["mel"])


def without_kind(model: Model) -> None:
    model.soundAnalysisPreprocessing.ClearField("vggish")


def with_input(*shape: int, dtype: str = "float32") -> Callable[[Model], None]:
    return lambda model: model.description.input[0].CopyFrom(array_feature("audio", shape, dtype))


def with_output(*shape: int, dtype: str = "float32") -> Callable[[Model], None]:
    return lambda model: model.description.output[0].CopyFrom(array_feature("mel", shape, dtype))


def second_input(model: Model) -> None:
    model.description.input.append(array_feature("more", [1]))


REFUSED: dict[str, tuple[Callable[[Model], None], str]] = {
    "another kind": (without_kind, "SoundAnalysisPreprocessingType: expected vggish, got none that the format knows"),
    "other samples": (with_input(16000), r"input 'audio': expected a float32 multi-array of shape \[15600\], got .*\[16000\]"),
    "two axes": (with_input(1, SAMPLES), r"input 'audio': expected a float32 multi-array of shape \[15600\], got .*\[1, 15600\]"),
    "doubles": (with_input(SAMPLES, dtype="double"), r"input 'audio': expected a float32 multi-array of shape \[15600\], got a float64"),
    "another output": (with_output(96, 64), r"output 'mel': expected a float32 multi-array of shape \[1, 96, 64\], got .*\[96, 64\]"),
    "a whole output": (
        with_output(1, 96, 64, dtype="int32"),
        r"output 'mel': expected a float32 multi-array of shape \[1, 96, 64\], got an int32",
    ),
    "two inputs": (second_input, "expected one input, got 'audio', 'more'"),
}


@pytest.mark.parametrize(("change", "told"), REFUSED.values(), ids=REFUSED.keys())
def test_other_messages_are_refused(change: Callable[[Model], None], told: str) -> None:
    spec = preprocessing()
    change(spec)
    with pytest.raises(MLFormatError, match=f"^sound: {told}"):
        build_predictor(spec, {}, "sound")


@pytest.mark.parametrize("given", [np.zeros(15599), np.zeros((2, 15600)), np.full(SAMPLES, np.nan), "noise", 3.0])
def test_other_values_are_refused(given: Any) -> None:
    with pytest.raises(MLFeatureError, match="input 'audio'"):
        MLModel.from_spec(preprocessing()).predict({"audio": given})


def test_what_is_not_finite_is_refused_behind_other_models_too() -> None:
    samples = np.zeros((3, SAMPLES), np.float32)
    samples[1, 7] = np.inf
    with pytest.raises(MLFeatureError, match="^example 1: sound: input 'audio': expected finite numbers, got others$"):
        build_predictor(preprocessing(), {}, "sound").predict({"audio": samples}, 3)


def test_the_bands_are_nobodys_to_change() -> None:
    with pytest.raises(ValueError, match="read-only"):
        sound._bands()[0] = 1
