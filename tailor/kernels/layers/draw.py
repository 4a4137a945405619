"""Layers that draw random numbers: normal, uniform, Bernoulli and categorical ones.

All draw from the ``generator`` they are given: one in the same state gives the same bits. ``seed`` is for whoever makes it.
Numbers are drawn as float32, whatever the type of the inputs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..bounds import check_elements
from ..op import Array, Attributes, Decode, Op, Reading, Shape
from .channels import check_rank
from .sizes import check_sizes, read_sizes, sizes


def normal(generator: np.random.Generator, shape: Shape, *, mean: float, deviation: float) -> Array:
    """Normal numbers, float32."""
    return generator.standard_normal(shape, np.float32) * deviation + mean


def uniform(generator: np.random.Generator, shape: Shape, *, low: float, high: float) -> Array:
    """Numbers spread evenly from ``low`` to ``high``, float32."""
    return generator.random(shape, np.float32) * (high - low) + low


def bernoulli(generator: np.random.Generator, shape: Shape, *, probability: float) -> Array:
    """1 with ``probability``, else 0; float32."""
    return (generator.random(shape, np.float32) < probability).astype(np.float32)


def _read_normal(params: Any) -> Attributes:
    if not params.stdDev >= 0:
        raise ValueError(f"stdDev: expected 0 or more, got {params.stdDev:g}")
    return {"mean": float(params.mean), "deviation": float(params.stdDev)}


def _read_uniform(params: Any) -> Attributes:
    if not params.minVal <= params.maxVal:
        raise ValueError(f"minVal: expected no more than maxVal, {params.maxVal:g}, got {params.minVal:g}")
    return {"low": float(params.minVal), "high": float(params.maxVal)}


def _read_bernoulli(params: Any) -> Attributes:
    if not 0 <= params.prob <= 1:
        raise ValueError(f"prob: expected a number from 0 to 1, got {params.prob:g}")
    return {"probability": float(params.prob)}


def _rows(name: str, draw: Callable[..., Array], read: Callable[[Any], Attributes]) -> tuple[Op, Op, Op]:
    """The three ops of a distribution: of the shape of an input, of a shape in the attributes, of a shape that an input holds."""

    def like(x: Array, *, generator: np.random.Generator, seed: int, **parameters: float) -> Array:
        return draw(generator, x.shape, **parameters).astype(x.dtype, copy=False)

    def like_backward(g: Array, y: Array, x: Array, *, needs: tuple[bool, ...], **attributes: Any) -> tuple[Array | None, ...]:
        return (np.zeros_like(x) if needs[0] else None,)

    def like_shape(x: Shape, **attributes: Any) -> Shape:
        return x

    def static(*, generator: np.random.Generator, seed: int, output_shape: Shape, **parameters: float) -> Array:
        return draw(generator, output_shape, **parameters)

    def static_shape(*, output_shape: Shape, **attributes: Any) -> Shape:
        check_elements(output_shape)
        return output_shape

    def dynamic(x: Array, *, generator: np.random.Generator, seed: int, **parameters: float) -> Array:
        return draw(generator, sizes(x), **parameters).astype(x.dtype, copy=False)

    def dynamic_shape(x: Shape, **attributes: Any) -> None:
        check_sizes(x)

    def read_like(params: Any, decode: Decode) -> Reading:
        return Reading({"seed": int(params.seed), **read(params)}, {})

    def read_static(params: Any, decode: Decode) -> Reading:
        shape = read_sizes("outputShape", params.outputShape)
        return Reading({"seed": int(params.seed), "output_shape": shape, **read(params)}, {})

    return (
        Op(f"{name}Like", like, like_shape, read_like, like_backward, draws=True),
        Op(f"{name}Static", static, static_shape, read_static, draws=True),
        Op(f"{name}Dynamic", dynamic, dynamic_shape, read_like, draws=True),
    )


def categorical(
    x: Array, *, generator: np.random.Generator, seed: int, samples: int, logits: bool, epsilon: float, temperature: float
) -> Array:
    """``[..., C]`` -> ``[..., samples]``: classes from 0 to C - 1, drawn with replacement.

    The last axis holds ``logits``, or probabilities p that are taken as the logits log(p + ``epsilon``); class c has the
    probability softmax(logits / ``temperature``). Raises ``ValueError`` where those are not numbers.
    """
    with np.errstate(all="ignore"):
        scores = x.astype(np.float64) if logits else np.log(x.astype(np.float64) + epsilon)
        scores = scores / temperature
        chances = np.exp(scores - scores.max(axis=-1, keepdims=True)).reshape(-1, x.shape[-1])
    if not np.isfinite(chances).all():
        kind = "logits" if logits else "probabilities of 0 or more"
        raise ValueError(f"expected {kind}, got {x.reshape(chances.shape)[~np.isfinite(chances).all(axis=1)][0].tolist()}")
    ladder = np.cumsum(chances, axis=1)
    ladder /= ladder[:, -1:]
    found = np.empty((len(ladder), samples), x.dtype)
    for row, steps in zip(found, ladder, strict=True):
        row[:] = np.searchsorted(steps, generator.random(samples), side="right")
    return found.reshape(*x.shape[:-1], samples)


def _categorical_shape(x: Shape, *, samples: int, **attributes: Any) -> Shape:
    check_rank(x, 1)
    if x[-1] < 1:
        raise ValueError(f"expected one class or more in the last axis, got shape {list(x)}")
    check_elements((*x[:-1], samples))
    return (*x[:-1], samples)


def _read_categorical(params: Any, decode: Decode) -> Reading:
    if params.numSamples < 1:
        raise ValueError(f"numSamples: expected 1 or more, got {params.numSamples}")
    if not params.temperature >= 0:
        raise ValueError(f"temperature: expected a positive number, got {params.temperature:g}")
    if not params.eps >= 0:
        raise ValueError(f"eps: expected 0 or more, got {params.eps:g}")
    attributes = {
        "seed": int(params.seed),
        "samples": int(params.numSamples),
        "logits": bool(params.isLogits),
        # 0 is what a field that was never set holds, and the format's comment gives both a default
        "epsilon": float(params.eps) or 1e-10,
        "temperature": float(params.temperature) or 1.0,
    }
    return Reading(attributes, {})


OPS = (
    *_rows("randomNormal", normal, _read_normal),
    *_rows("randomUniform", uniform, _read_uniform),
    *_rows("randomBernoulli", bernoulli, _read_bernoulli),
    Op("categoricalDistribution", categorical, _categorical_shape, _read_categorical, draws=True),
)
