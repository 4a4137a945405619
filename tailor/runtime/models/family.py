"""What every model family offers to the rest of the roof: a predictor, and a learner where it can be updated.

Values travel in columns: one column a feature, one row an example. A column is an array whose leading axis is the
examples, or a list where values cannot be stacked (strings, dictionaries, arrays of different shapes). All values are
canonical, as ``tailor.runtime.values.coerce`` defines.

A column has a value for every example. An optional input that examples lack has no column at all (examples that lack
different ones come in calls of their own), and only types in ``missing.TAKES_ABSENCE`` meet that. A missing double is NaN
to types in ``missing.TAKES_NAN``; to no other type is a number given that is not finite.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

from tailor.kernels import SGD, Adam, Array
from tailor.persistence import Content

from ..accelerators import Device

Column: TypeAlias = Array | Sequence[Any]
Columns: TypeAlias = Mapping[str, Column]
Trainable: TypeAlias = str | Sequence[str] | None
"""Which layers learn, as ``MLModelConfiguration`` has it."""


class Predictor(Protocol):
    """Predicts; may be called from several threads at once."""

    def predict(self, columns: Columns, count: int) -> dict[str, Column]:
        """The output columns for ``count`` examples; canonical values in, canonical values out.

        Raises ``MLFeatureError`` where an input does not fit, ``MLUnsupportedError`` where a part cannot be run.
        """
        ...


class Learner(Protocol):
    """What of a model learns: made from its message, stepped through mini-batches in a worker, written back.

    ``iterative`` learners take several epochs of mini-batches with an optimizer; the others take every example once.
    A step either happens whole or, where it raises, leaves what was learned before as it was. ``label`` is the training input
    that is a label or class to tell, ``None`` where the target is a number. ``frozen``: whether some of it never learns and comes
    before all that does, so that ``prepared`` columns are worth keeping.
    """

    iterative: bool
    frozen: bool

    @property
    def label(self) -> str | None:
        """See above."""
        ...

    def prepared(self, columns: Columns, count: int) -> Columns:
        """What there is to learn from the training inputs ``columns``, as far as that does not change while this learner learns.

        An example has the same values whatever others come with it. Raises as a prediction does, and ``MLFeatureError`` for a
        target that does not fit.
        """
        ...

    def step(self, columns: Columns, count: int, optimizer: SGD | Adam | None, waits: bool = False) -> Array | None:
        """Learns from one mini-batch of ``prepared`` columns; returns each example's loss before the step (float64 ``[count]``), if any.

        ``waits``: gradients are only kept, for the next step that does not wait; the last of an epoch never does.
        """
        ...

    def state(self) -> dict[str, Content]:
        """Copies of all that was learned so far, and of all that the next step depends on besides its arguments, by name."""
        ...

    def restore(self, state: Mapping[str, Content]) -> None:
        """Goes on from what ``state`` gave, of this learner or of another one of the same message: to the bit.

        Raises ``MLCheckpointError`` for what does not fit, and changes nothing then.
        """
        ...

    def writer(self) -> Callable[[Any], None]:
        """A function that puts what is learned *now* into a copy of the message that this learner was made from.

        It holds a copy: later steps do not change what it writes. It must work after ``close`` too.
        """
        ...

    def close(self) -> None:
        """Gives back threads and buffers."""
        ...


class Resident(Learner, Protocol):
    """A copy of a learner whose steps are computed on an accelerator. The learner here is changed by ``settle`` alone."""

    def take(self) -> None:
        """Goes on from what the learner here has come to."""
        ...

    def settle(self) -> None:
        """Lets the learner here have come to where this one is; not at all where the device fails."""
        ...


@runtime_checkable
class Placed(Protocol):
    """What a predictor or a learner has besides, where it may be computed on an accelerator."""

    @property
    def kept_here(self) -> str:
        """Why it cannot, ``""`` where it can."""
        ...


@runtime_checkable
class Movable(Placed, Protocol):
    """What a learner has besides, where its steps may be computed on an accelerator."""

    def resident(self, device: Device) -> Resident:
        """A copy on ``device`` of this learner as it is now; asked for inside ``device.at_work()``."""
        ...


def kept_here(part: Predictor | Learner | None) -> str:
    """Why a predictor or a learner is computed on the CPU only; ``""`` where it can be computed on an accelerator.

    ``None``: a predictor that nobody has needed yet.
    """
    if part is None:
        return "nothing was predicted yet"
    return part.kept_here if isinstance(part, Placed) else "only networks are computed on accelerators"
