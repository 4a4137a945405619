"""What a network in training is made of, by name: parameters, what the optimizer remembers, and how far it is."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tailor.kernels import Array
from tailor.persistence import Content

from ..errors import MLCheckpointError
from ..network import Trainer

PARAMETER, SLOT, STEPS = "parameter.", "slot.", "steps"


def read_state(trainer: Trainer) -> dict[str, Content]:
    """Copies: ``parameter.<layer>.<field>``, ``slot.<name>``, and ``steps``, how many the optimizer has taken."""
    parameters, slots, steps = trainer.held()
    state: dict[str, Content] = {PARAMETER + name: array for name, array in parameters.items()}
    return state | {SLOT + name: array for name, array in slots.items()} | {STEPS: [steps]}


def write_state(trainer: Trainer, state: Mapping[str, Content], who: str) -> None:
    """Lets ``trainer`` go on from ``state``. Raises ``MLCheckpointError`` for what does not fit, and changes nothing then."""
    parameters = {name: state.get(PARAMETER + name) for name in trainer.parameters}
    slots = {name.removeprefix(SLOT): value for name, value in state.items() if name.startswith(SLOT)}
    for name, value in parameters.items():
        _check(value, trainer.parameters[name], f"{who}: {PARAMETER}{name}")
    for name, value in slots.items():
        of, _, _ = name.rpartition("/")  # ``<parameter>/mean`` has an element for each of the parameter's; ``/count`` belongs to none
        _check(value, trainer.parameters.get(of) if of else np.zeros(1, np.int64), f"{who}: {SLOT}{name}")
    steps = state.get(STEPS)
    if not isinstance(steps, list | tuple) or len(steps) != 1 or not isinstance(steps[0], int) or steps[0] < 0:
        raise MLCheckpointError(f"{who}: {STEPS}: expected one whole number of at least 0, got {steps!r}")
    known = {*(PARAMETER + name for name in parameters), *(SLOT + name for name in slots), STEPS}
    for name in sorted(state.keys() - known):
        raise MLCheckpointError(f"{who}: expected the state of this model's parameters, got one of {name!r}")
    for name, value in parameters.items():
        trainer.parameters[name][...] = value
    trainer.slots = {name: np.array(value) for name, value in slots.items()}
    trainer.steps = steps[0]


def _check(value: object, like: Array | None, who: str) -> None:
    if like is None:
        raise MLCheckpointError(f"{who}: expected the name of a parameter of this model and what is remembered of it, got another")
    if not isinstance(value, np.ndarray) or (value.dtype, value.shape) != (like.dtype, like.shape):
        got = f"{value.dtype} {list(value.shape)}" if isinstance(value, np.ndarray) else "none"
        raise MLCheckpointError(f"{who}: expected {like.dtype} {list(like.shape)}, got {got}")
