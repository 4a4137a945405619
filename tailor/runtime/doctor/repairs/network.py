"""A network made updatable, repair by repair; each that changes what is computed is proven, or not applied."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

from ...errors import MLFormatError, MLModelError, MLUpdateError
from ...format import AdamParams, LayerRecord, NeuralNetworkBuilder, SgdParams, layers
from ...models.lowered import graph_of, network_of
from ...models.updatable import UPDATABLE_KINDS
from ...network.constants import find_constants
from ...parameters import MLParameterKey
from ..aim import CROSS_ENTROPY, LOSSES, Aim, aim_of, learned_values, maker, outputs_of, suggested
from ..networks import QUANTISED, check_network
from ..report import MLRepair, MLTrainableLayer
from ..training_inputs import check_training_inputs
from .layers import unlike
from .losses import ABLE, check_loss, declare_loss, in_the_way, layers_of, lead_to
from .products import Products
from .proof import TOLERANCE, Proof
from .training import OPTIMIZERS, complete, mark, messages, set_optimizer, set_parameters
from .views import drop_views
from .weights import stored_otherwise, to_float32

Change: TypeAlias = Callable[[Any], object]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a repaired model is to be like; see ``MLModel.repaired``. Raises ``MLUpdateError`` for what makes no sense of itself."""

    loss: str | None = None
    output: str | None = None
    optimizer: str | SgdParams | AdamParams | None = None
    trainable: Sequence[str] | None = None
    dequantize: bool = False
    parameters: Mapping[MLParameterKey, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.loss is not None and self.loss not in LOSSES:
            raise MLUpdateError(f"loss: expected {' or '.join(LOSSES)}, got {self.loss!r}")
        known = isinstance(self.optimizer, (SgdParams, AdamParams)) or self.optimizer in (None, *OPTIMIZERS)
        if not known:
            raise MLUpdateError(f"optimizer: expected {' or '.join(OPTIMIZERS)}, or SgdParams or AdamParams, got {self.optimizer!r}")
        listed = isinstance(self.trainable, Collection) and not isinstance(self.trainable, str) and len(self.trainable) > 0
        if self.trainable is not None and not listed:
            raise MLUpdateError(f"trainable: expected a list of names of layers, got {self.trainable!r}")
        if not isinstance(self.parameters, Mapping):
            raise MLUpdateError(f"parameters: expected values by MLParameterKey, got {self.parameters!r}")


class NetworkRepair:
    """Repairs ``spec``, a network's model, in place; ``repairs`` tells of each. ``who`` is what errors call it.

    Raises ``MLUpdateError`` and ``MLFormatError`` where what is asked for cannot be.
    """

    def __init__(self, spec: Any, asked: Asked, who: str) -> None:
        self.spec = spec
        self.repairs: list[MLRepair] = []
        self._asked = asked
        self._who = who
        self._original = type(spec)()
        self._original.CopyFrom(spec)

    @cached_property
    def _proof(self) -> Proof:
        """What the network answered as it came; made when there is something to prove."""
        return Proof(self._original)

    def run(self) -> None:
        """All repairs, in their order."""
        self._check_asked()
        self._each("no-op layers dropped", lambda spec, only: _drop_views(spec, only or in_the_way(spec, self._aim().value)), exact=True)
        self._each("matrix products made inner products", lambda spec, only: _with_products(spec, Products.to_inner_products, only))
        self._each("added constants made biases", lambda spec, only: _with_products(spec, Products.take_biases, only))
        self._attempt("names made unique", _rename)
        self._lead()
        trainable = self._trainable()
        self._to_float32(trainable)
        self._complete(trainable)

    def _check_asked(self) -> None:
        """Refuses what is asked for and cannot be, before anything is changed."""
        kinds = {record.name: record.kind for record in layers(network_of(self.spec))}
        for name in self._asked.trainable or ():
            if name not in kinds:
                known = ", ".join(map(repr, (name for name, kind in kinds.items() if kind in ABLE))) or "none"
                raise MLUpdateError(f"{self._who}: trainable: expected the name of a layer that can learn ({known}), got {name!r}")
        if self._asked.loss is not None:
            try:
                check_loss(self.spec, self._asked.loss)
            except MLFormatError as error:
                raise MLUpdateError(f"{self._who}: {error}") from error

    def _lead(self) -> None:
        """Has the loss's value made as the loss needs it, and declares the loss where there was none, or another."""
        aim = self._aim()
        found = {"value": aim.value}

        def change(spec: Any) -> None:
            found["value"] = lead_to(spec, aim.kind, aim.value)
            losses = network_of(spec).updateParams.lossLayers
            if aim.declared:
                getattr(losses[0], str(losses[0].WhichOneof("LossLayerType"))).input = found["value"]

        name = "softmax along channels, and no reshapes in front" if aim.kind == CROSS_ENTROPY else "no reshapes in front of the loss"
        if not self._attempt(name, change, must=True):
            made = maker(_records(self.spec), aim.value)
            if aim.kind == CROSS_ENTROPY and (made is None or made.kind != "softmax"):
                raise MLUpdateError(f"{self._who}: {self.repairs[-1]}")
            found["value"] = aim.value
        if not aim.declared or any(True for _ in check_training_inputs(self.spec, network_of(self.spec))):
            builder = NeuralNetworkBuilder(spec=self.spec)
            self._step(f"loss: {aim.kind}", builder, lambda: declare_loss(builder, aim.kind, found["value"], aim.value, aim.target))

    def _aim(self) -> Aim:
        network, asked = network_of(self.spec), self._asked
        records = layers(network)
        present = aim_of(self.spec, network, records)
        if (
            present is not None
            and present.declared
            and asked.loss in (None, present.kind)
            and (asked.output in (None, present.value) or present.target == f"{asked.output}_true")
        ):
            return present
        outputs = learned_values(self.spec, network, records)
        told = ", ".join(map(repr, outputs)) or "none that a layer makes"
        if asked.output is not None and asked.output not in outputs:
            raise MLUpdateError(f"{self._who}: output: expected one of the outputs for the loss to be about ({told}), got {asked.output!r}")
        if asked.output is None and len(outputs) != 1:
            raise MLUpdateError(f"{self._who}: expected one output, or to be told which of them the loss is about, got {told}")
        output = asked.output or outputs[0]
        found = suggested(output, self.spec, records)
        if asked.loss is None or asked.loss == found.kind:
            return found
        return Aim(asked.loss, output, f"{output}_true", False)

    def _to_float32(self, names: Sequence[str]) -> None:
        """Stores the parameters of the layers ``names`` as float32, those that are quantised only where that was asked for."""

        def change(spec: Any) -> None:
            graph = graph_of(spec, outputs_of(spec, _records(spec)), self._who)
            for record in _records(spec):
                if record.name in names and (self._asked.dequantize or not any(quantised for *_, quantised in stored_otherwise(record))):
                    to_float32(record, graph.parameters)

        self._attempt("weights stored as float32", change, exact=True)

    def _trainable(self) -> list[str]:
        """The layers that are to learn: those asked for, or marked, or all that Core ML's gradients reach, or tailor's."""
        _, _, known = check_network(self.spec)
        candidates = [layer for layer in known if layer.kind in UPDATABLE_KINDS]
        if self._asked.trainable is not None:
            by_name = {layer.name: layer for layer in candidates}
            for name in self._asked.trainable:
                self._check_trainable(name, by_name.get(name))
            return list(dict.fromkeys(self._asked.trainable))
        allowed = [layer for layer in candidates if self._asked.dequantize or "quantised" not in layer.stored]
        marked = [layer.name for layer in allowed if layer.marked]
        reached = [layer.name for layer in allowed if layer.core_ml in ("", QUANTISED)]
        names = marked or reached or [layer.name for layer in allowed if not layer.tailor]
        if not names:
            why = "; ".join(f"{layer.name!r}: {layer.tailor or layer.core_ml}" for layer in candidates) or "there are none"
            raise MLUpdateError(f"{self._who}: expected a convolution or an inner product that a loss can reach, got none: {why}")
        return names

    def _check_trainable(self, name: str, layer: MLTrainableLayer | None) -> None:
        if layer is None:
            kind = next((record.kind for record in _records(self.spec) if record.name == name), "one that has gone")
            raise MLUpdateError(
                f"{self._who}: trainable: layer {name!r}: expected {' or '.join(UPDATABLE_KINDS)} with parameters, got {kind}"
            )
        if "quantised" in layer.stored and not self._asked.dequantize:
            how = "got quantised ones, which 'dequantize' turns into them"
            raise MLUpdateError(f"{self._who}: trainable: layer {name!r}: expected floating-point weights, {how}")

    def _complete(self, trainable: Sequence[str]) -> None:
        """Optimizer, epochs, what is allowed, and marks; nothing that is computed changes."""
        builder, asked = NeuralNetworkBuilder(spec=self.spec), self._asked
        self._step("loss named unlike all layers", builder, lambda: _rename_losses(builder.nn_spec))

        def settle() -> None:
            if asked.optimizer is not None:
                set_optimizer(builder, asked.optimizer)
            complete(builder)
            set_parameters(messages(builder.nn_spec), asked.parameters, self._who)

        self._step("optimizer, epochs and what parameters may be", builder, settle)
        self._step("marked as updatable", builder, lambda: mark(builder, trainable), tuple(trainable))

    def _step(
        self, name: str, builder: NeuralNetworkBuilder, step: Callable[[], object], where: tuple[str, ...] = ("updateParams",)
    ) -> None:
        """Takes a step that leaves what is computed alone; tells of it where it changes anything."""
        try:
            step()
        except MLFormatError as error:
            raise MLUpdateError(f"{self._who}: {error}") from error
        if builder.spec != self.spec:
            self.repairs.append(MLRepair(name, where, True))
            self.spec.CopyFrom(builder.spec)

    def _each(self, name: str, change: Callable[[Any, Collection[str] | None], object], *, exact: bool = False) -> None:
        """Applies ``change`` to all the layers that it is about, or, where that is not proven, to those of them where it is."""
        if self._attempt(name, lambda spec: change(spec, None), exact=exact) or self.repairs[-1].difference is None:
            return
        failed = self.repairs.pop()
        for layer in failed.layers:

            def one(spec: Any, layer: str = layer) -> None:
                change(spec, {layer})

            self._attempt(name, one, exact=exact, told=(layer,))

    def _attempt(self, name: str, change: Change, *, exact: bool = False, must: bool = False, told: tuple[str, ...] = ()) -> bool:
        """Applies ``change`` if it changes anything and is proven; tells of it, as of the layers ``told``, either way.

        ``must``: its refusal is an error.
        """
        candidate = type(self.spec)()
        candidate.CopyFrom(self.spec)
        try:
            change(candidate)
        except MLFormatError as error:
            if must:
                raise MLUpdateError(f"{self._who}: {error}") from error
            self.repairs.append(MLRepair(name, ("network",), False, remark=str(error)))
            return False
        touched = _touched(self.spec, candidate)
        if not touched:
            return True
        difference, remark = self._judge(candidate, exact)
        self.repairs.append(MLRepair(name, told or touched, not remark, difference, remark))
        if not remark:
            self.spec.CopyFrom(candidate)
        return not remark

    def _judge(self, candidate: Any, exact: bool) -> tuple[float | None, str]:
        """The largest difference, and why a repair is not good."""
        try:
            proof = self._proof
        except MLModelError as error:
            return None, f"it cannot be proven: {error}"
        try:
            difference = proof.difference(candidate)
        except MLModelError as error:
            return None, f"the repaired network fails: {error}"
        most = 0.0 if exact else TOLERANCE
        if difference == float("inf"):
            return difference, "expected outputs of the shapes that they had, finite where they were, got others"
        return difference, "" if difference <= most else f"expected outputs within {most:g}, got {difference:.2g} apart"


def _drop_views(spec: Any, only: Collection[str] | None) -> None:
    changed = layers_of(spec)
    drop_views(changed, only)
    changed.write()


def _with_products(spec: Any, change: Callable[[Products, Collection[str] | None], None], only: Collection[str] | None) -> None:
    """Applies ``change`` to the products of a network."""
    changed = layers_of(spec)
    made = {name for record in _records(spec) for name in record.outputs}
    graph = graph_of(spec, sorted(changed.outputs & made), "network")
    graph = graph.towards(*graph.outputs)
    change(Products(changed, find_constants(graph), dict(graph.parameters)), only)
    changed.write()


def _rename(spec: Any) -> None:
    """Gives layers of one name, and without, names of their own."""
    taken: set[str] = set()
    for layer in network_of(spec).layers:
        layer.name = unlike(layer.name or "layer", taken)
        taken.add(layer.name)


def _rename_losses(network: Any) -> None:
    """Gives losses names that no layer has."""
    taken = {layer.name for layer in network.layers}
    for loss in network.updateParams.lossLayers:
        loss.name = unlike(loss.name, taken)
        taken.add(loss.name)


def _records(spec: Any) -> list[LayerRecord]:
    return layers(network_of(spec))


def _touched(before: Any, after: Any) -> tuple[str, ...]:
    """The names of the layers of one that are not in the other as they are."""
    return tuple(dict.fromkeys([*_missing(before, after), *_missing(after, before)]))


def _missing(of: Any, other: Any) -> Iterator[str]:
    kept = {layer.SerializeToString(deterministic=True) for layer in network_of(other).layers}
    for layer in network_of(of).layers:
        if layer.SerializeToString(deterministic=True) not in kept:
            yield layer.name
