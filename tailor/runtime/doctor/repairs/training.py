"""How a network is trained: an optimizer, epochs, the values that parameters may have, and the layers that learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import MLParameterError
from ...format import AdamParams, NeuralNetworkBuilder, SgdParams
from ...models.updatable import OPTIMIZER_NEEDS
from ...parameters import MLParameterDescription, MLParameterKey
from ..ranges import POSITIVE, widened

OPTIMIZERS = {"sgd": SgdParams, "adam": AdamParams}

MOST_EXAMPLES = 1024
"""The largest mini-batch that an optimizer that is added here allows."""

MOST_EPOCHS = 1000
"""The most epochs that are allowed where the model said nothing of them."""


def set_optimizer(builder: NeuralNetworkBuilder, asked: str | SgdParams | AdamParams) -> None:
    """Sets the optimizer: one with values and ranges, or by name with coremltools' own values, and mini-batches of up to 1024."""
    params = OPTIMIZERS[asked]() if isinstance(asked, str) else asked
    optimizer = builder.nn_spec.updateParams.optimizer
    optimizer.Clear()
    if isinstance(params, AdamParams):
        builder.set_adam_optimizer(params)
    else:
        builder.set_sgd_optimizer(params)
    if isinstance(asked, str):
        _allow(getattr(optimizer, str(optimizer.WhichOneof("OptimizerType"))).miniBatchSize, MOST_EXAMPLES)


def complete(builder: NeuralNetworkBuilder) -> None:
    """Adds what an optimizer lacks, the epochs, and whether to shuffle; what is there stays, within what is allowed."""
    update = builder.nn_spec.updateParams
    chosen = update.optimizer.WhichOneof("OptimizerType")
    if chosen is None:
        set_optimizer(builder, "sgd")
    else:
        optimizer = getattr(update.optimizer, chosen)
        whole = NeuralNetworkBuilder(spec=builder.spec)
        set_optimizer(whole, chosen.removesuffix("Optimizer"))
        known = getattr(whole.nn_spec.updateParams.optimizer, chosen)
        for name in OPTIMIZER_NEEDS[chosen]:
            if not optimizer.HasField(name):
                getattr(optimizer, name).CopyFrom(getattr(known, name))
    if not update.HasField("epochs"):
        builder.set_epochs(1)
        _allow(update.epochs, MOST_EPOCHS)
    if not update.HasField("shuffle"):
        builder.set_shuffle()
    for name, message in messages(builder.nn_spec).items():
        if name != "shuffle":
            widened(name, message)


def messages(network: Any) -> dict[str, Any]:
    """The parameters of an update that a network has, by name."""
    update = network.updateParams
    chosen = update.optimizer.WhichOneof("OptimizerType")
    found = dict(_fields(getattr(update.optimizer, chosen))) if chosen else {}
    return found | {name: message for name, message in _fields(update) if name in ("epochs", "shuffle", "seed")}


def set_parameters(found: Mapping[str, Any], given: Mapping[MLParameterKey, object], who: str) -> None:
    """Makes values the defaults of parameters, of those ``found`` by name, and allows them where the model did not.

    Raises ``MLParameterError`` for a parameter that there is not, and for a value that it cannot have.
    """
    for key, value in given.items():
        if not isinstance(key, MLParameterKey):
            raise MLParameterError(f"{who}: parameters: expected keys of type MLParameterKey, got {key!r}")
        if key.name not in found:
            raise MLParameterError(f"{who}: parameter {key}: expected one of {', '.join(found) or 'none'}, got another")
        least = 1 if key.name in POSITIVE else 0.0 if key.name == "learningRate" else None
        checked = MLParameterDescription(key, None, least).check(value)
        if isinstance(checked, bool):
            found[key.name].defaultValue = checked
        elif not isinstance(checked, str):
            widened(key.name, found[key.name], checked)


def mark(builder: NeuralNetworkBuilder, names: Sequence[str]) -> None:
    """Marks the layers ``names`` as updatable, weights and bias, and no others; the model too."""
    shuffle = builder.nn_spec.updateParams.shuffle.defaultValue
    for layer in builder.nn_spec.layers:
        layer.isUpdatable = False
    builder.make_updatable(names)
    builder.set_shuffle(shuffle)


def _fields(message: Any) -> list[tuple[str, Any]]:
    return [(field.name, value) for field, value in message.ListFields() if hasattr(value, "defaultValue")]


def _allow(message: Any, most: int) -> None:
    """Allows everything from 1 to ``most``, and the value that there is."""
    message.range.minValue, message.range.maxValue = 1, max(most, message.defaultValue)
