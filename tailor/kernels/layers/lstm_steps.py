"""One LSTM over a sequence, and back through time: what the one-way and the two-way layer have in common.

Gates stand side by side in the order input, forget, output, block input, so that those with one activation are neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..jit import plain
from ..op import Array
from .lstm_gates import usual_step
from .recurrent import Activation, activate, activate_back, cut

_BLOCK = 1 << 18
"""Numbers in a block of input projections, about: they should still be in the cache when their step comes."""


@dataclass(frozen=True, slots=True)
class Cell:
    """An LSTM: ``w`` ``[4H, I]``, ``r`` ``[4H, H]``, ``bias`` ``[4H]``, ``peepholes`` ``[3H]`` of the gates input, forget, output.

    ``activations``  f of the gates, g of the block input, h of the memory cell.
    ``coupled``      whether the forget gate is 1 - the input gate.
    ``limit``        the memory cell is cut to -limit...limit.
    """

    w: Array
    r: Array
    bias: Array | None
    peepholes: Array | None
    activations: tuple[Activation, ...]
    coupled: bool
    limit: float

    @property
    def size(self) -> int:
        """H."""
        return int(self.r.shape[1])

    def projected(self, x: Array, out: Array | None = None) -> Array:
        """What inputs ``[S, M, I]`` add to the gates: ``[S, M, 4H]``."""
        flat = None if out is None else out.reshape(-1, len(self.w))
        found: Array = np.matmul(x.reshape(-1, x.shape[2]), self.w.T, out=flat)
        if self.bias is not None:
            found += self.bias
        return found.reshape(*x.shape[:2], len(self.w))

    @property
    def usual(self) -> bool:
        """Whether a step is the one that ``usual_step`` takes."""
        plain = not self.coupled and self.peepholes is None and self.r.dtype == np.float32
        return plain and self.activations == (("sigmoid",), ("tanh",), ("tanh",))

    def step(self, a: Array, h: Array, c: Array, memory: Array, answer: Array, before: Array | None = None) -> None:
        """Turns ``a`` ``[M, 4H]``, a step's projections, into its gates, and fills in its ``memory`` and ``answer`` ``[M, H]``.

        ``h``, ``c``: answer and memory of the step before. ``before`` is given what the activations were given.
        """
        recurrent = h @ self.r.T
        if before is not None:
            np.add(a, recurrent, out=before)
        if self.usual:
            usual_step(a, recurrent, c, self.limit, memory, answer)
            return
        a += recurrent
        self._gates(a, c, memory, before)
        answer[...] = memory
        activate(self.activations[2], answer)
        answer *= a[:, 2 * self.size : 3 * self.size]

    def _gates(self, a: Array, c: Array, memory: Array, before: Array | None) -> None:
        size = self.size
        f, g, _ = self.activations
        early = 3 * size
        if self.peepholes is not None:
            early = 2 * size  # the output gate waits for the memory that it looks at
            a[:, :size] += self.peepholes[:size] * c
            a[:, size:early] += self.peepholes[size:early] * c
        if before is not None:
            before[...] = a
        activate(f, a[:, :early])
        activate(g, a[:, 3 * size :])
        memory[...] = self.memory(a, c)
        cut(memory, self.limit)
        if self.peepholes is not None:
            late = a[:, early : 3 * size]
            late += self.peepholes[early:] * memory
            if before is not None:
                before[:, early : 3 * size] = late
            activate(f, late)

    def memory(self, gates: Array, c: Array) -> Array:
        """The memory after a step, before it is cut."""
        size = self.size
        entering = gates[:, :size]
        keeping = 1.0 - entering if self.coupled else gates[:, size : 2 * size]
        memory: Array = keeping * c
        memory += entering * gates[:, 3 * size :]
        return memory


def run(cell: Cell, x: Array, h: Array, c: Array) -> tuple[Array, Array]:
    """Answers ``[S, M, H]`` and the last memory ``[M, H]`` for ``x`` ``[S, M, I]``, from the state ``h``, ``c`` ``[M, H]``."""
    steps, rows, _ = x.shape
    answers = np.empty((steps, rows, cell.size), x.dtype, like=x)
    memories = np.empty((2, rows, cell.size), x.dtype, like=x)
    h, c = plain(h), plain(c)
    block = max(1, _BLOCK // max(1, rows * len(cell.w)))
    room = np.empty((min(block, steps), rows, len(cell.w)), x.dtype, like=x)
    for start in range(0, steps, block):
        taken = x[start : start + block]
        for t, a in enumerate(cell.projected(taken, room[: len(taken)]), start):
            memory = memories[t % 2]
            cell.step(a, h, c, memory, answers[t])
            h, c = answers[t], memory
    return answers, c


@dataclass(frozen=True, slots=True)
class Tape:
    """A run's values: what the gates' activations were given and gave ``[S, M, 4H]``; answers and memories ``[S + 1, M, H]``."""

    before: Array
    gates: Array
    hs: Array
    cs: Array


def run_keeping(cell: Cell, x: Array, h: Array, c: Array) -> Tape:
    """As ``run``, with everything that the way back needs."""
    gates = cell.projected(x)
    before = np.empty_like(gates)
    hs, cs = (np.empty((len(x) + 1, *h.shape), x.dtype, like=x) for _ in range(2))
    hs[0], cs[0] = h, c
    for t, a in enumerate(gates):
        cell.step(a, hs[t], cs[t], cs[t + 1], hs[t + 1], before[t])
    return Tape(before, gates, hs, cs)


@dataclass(frozen=True, slots=True)
class Back:
    """Gradients of what the activations of the gates were given ``[S, M, 4H]``, and of the state before the first step ``[M, H]``."""

    before: Array
    h: Array
    c: Array


def run_back(cell: Cell, tape: Tape, arriving: Array, last: Array | None) -> Back:
    """The way back: ``arriving`` ``[S, M, H]`` at the answers, ``last`` ``[M, H]`` at the last memory."""
    size = cell.size
    f, g, act = cell.activations
    back = np.empty_like(tape.gates)
    dh, dc = np.zeros_like(tape.hs[0]), np.zeros_like(tape.cs[0])
    if last is not None:
        dc += last
    for t in reversed(range(len(back))):
        gates, before, at, c, memory = tape.gates[t], tape.before[t], back[t], tape.cs[t], tape.cs[t + 1]
        entering, keeping, leaving, block = (gates[:, place * size : (place + 1) * size] for place in range(4))
        dh += arriving[t]
        shown = memory.copy()
        activate(act, shown)
        at[:, 2 * size : 3 * size] = activate_back(f, dh * shown, leaving, before[:, 2 * size : 3 * size])
        dc += activate_back(act, dh * leaving, shown, memory)
        if cell.peepholes is not None:
            dc += at[:, 2 * size : 3 * size] * cell.peepholes[2 * size :]
        dc *= np.abs(cell.memory(gates, c)) <= cell.limit
        at[:, :size] = activate_back(f, dc * (block - c if cell.coupled else block), entering, before[:, :size])
        if cell.coupled:
            at[:, size : 2 * size] = 0.0
        else:
            at[:, size : 2 * size] = activate_back(f, dc * c, keeping, before[:, size : 2 * size])
        at[:, 3 * size :] = activate_back(g, dc * entering, block, before[:, 3 * size :])
        dc = dc * (1.0 - entering if cell.coupled else keeping)
        if cell.peepholes is not None:
            dc += at[:, :size] * cell.peepholes[:size] + at[:, size : 2 * size] * cell.peepholes[size : 2 * size]
        dh = at @ cell.r
    return Back(back, dh, dc)
