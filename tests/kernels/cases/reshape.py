from __future__ import annotations

from typing import Any

import numpy as np

from tailor.kernels import Array

from .case import Case, Message, numbers

COUNT = np.arange(8.0).reshape(1, 1, 2, 2, 2)  # two channels: 0 1 / 2 3 and 4 5 / 6 7
LONG = numbers(3, 2, 4, 2, 3)


def flat(note: str, x: Array, reference: Any, mode: int) -> Case:
    return Case("flatten", (x,), reference, Message(mode=mode), {"channel_last": mode == 1}, note=note)


def recast(note: str, x: Array, reference: Any, shape: tuple[int, ...], mode: int) -> Case:
    return Case(
        "reshape", (x,), reference, Message(targetShape=list(shape), mode=mode), {"shape": shape, "channel_last": mode == 1}, note=note
    )


def turn(note: str, x: Array, reference: Any, axes: tuple[int, ...]) -> Case:
    return Case("permute", (x,), reference, Message(axis=list(axes) if axes != (0, 1, 2, 3) else []), {"axes": axes}, note=note)


def chain(note: str, reference: Any, *inputs: Array, sequence: bool = False) -> Case:
    return Case("concat", inputs, reference, Message(sequenceConcat=sequence), {"axis": -5 if sequence else -3}, note=note)


CASES = (
    flat("channel first", COUNT, np.array([0.0, 1, 2, 3, 4, 5, 6, 7]).reshape(1, 1, 8, 1, 1), 0),
    flat("channel last", COUNT, np.array([0.0, 4, 1, 5, 2, 6, 3, 7]).reshape(1, 1, 8, 1, 1), 1),
    flat(
        "rank 3", numbers(2, 3, 4), lambda x: np.array([x[c, h, w] for h in range(3) for w in range(4) for c in range(2)])[:, None, None], 1
    ),
    recast("channel first", COUNT, np.arange(8.0).reshape(1, 1, 4, 1, 2), (4, 1, 2), 0),
    # order h, w, c is 0 4 1 5 2 6 3 7: as one row of two pixels with four channels, 0 4 1 5 and 2 6 3 7
    recast("channel last", COUNT, np.array([0.0, 2, 4, 6, 1, 3, 5, 7]).reshape(1, 1, 4, 1, 2), (4, 1, 2), 1),
    recast("sequence", numbers(6, 1, 2, 1, 1), lambda x: x.reshape(2, 1, 3, 1, 2), (2, 3, 1, 2), 0),
    recast("sequence and batch", LONG, lambda x: np.stack([x[:, b].reshape(6, 2, 2, 3) for b in range(2)], axis=1), (6, 2, 2, 3), 0),
    recast(
        "sequence and batch, channel last",
        LONG,
        lambda x: np.stack([x[:, b].transpose(0, 2, 3, 1).reshape(6, 2, 3, 2).transpose(0, 3, 1, 2) for b in range(2)], axis=1),
        (6, 2, 2, 3),
        1,
    ),
    recast(
        "sequence kept, channel last",
        LONG,
        lambda x: x.transpose(0, 1, 3, 4, 2).reshape(3, 2, 2, 2, 6).transpose(0, 1, 4, 2, 3),
        (6, 2, 2),
        1,
    ),
    turn("to W C H", LONG, lambda x: np.einsum("sbchw->sbwch", x), (0, 3, 1, 2)),
    turn("sequence last", LONG, lambda x: np.einsum("sbchw->wbchs", x), (3, 1, 2, 0)),
    turn("to W H C", LONG, lambda x: np.einsum("sbchw->sbwhc", x), (0, 3, 2, 1)),
    turn("not at all", LONG, lambda x: x, (0, 1, 2, 3)),
    chain("channels", lambda a, b, c: np.block([[[a]], [[b]], [[c]]]), numbers(2, 2, 3), numbers(1, 2, 3), numbers(3, 2, 3)),
    chain(
        "channels, rank 5",
        lambda a, b: np.concatenate([a.ravel(), b.ravel()]).reshape(1, 1, 5, 1, 2),
        numbers(1, 1, 2, 1, 2),
        numbers(1, 1, 3, 1, 2),
    ),
    chain("sequence", lambda a, b: np.array([*a, *b]), numbers(2, 1, 2, 1, 1), numbers(3, 1, 2, 1, 1), sequence=True),
)
