"""A graph bound to the shapes of its inputs: what will be called, in which order, and what is let go of after each call.

A plan holds no values, so that any number of threads may run one plan at once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from threading import Lock
from time import perf_counter
from typing import Any

import numpy as np

from tailor.kernels import Array, Packed, Shape, can_run

from ..errors import MLModelError, MLUnsupportedError
from .backward import Tape
from .call import Call
from .constants import find_constants
from .control import compute, run_within, taken
from .graph import Branch, Graph, Loop, Node, inside
from .observe import Step, Watch, watched
from .regions import Region, with_programs
from .shapes import told
from .step import Stop, foretold, look, quiet


@dataclass(frozen=True, slots=True)
class Plan:
    """The calls that make a graph's outputs from inputs of known shapes.

    ``shapes``     of one example, by value; ``None`` where only values tell.
    ``constants``  values that no input changes.
    ``stackable``  whether examples of these shapes can be run together, stacked on one more leading axis: calls that cannot
                   take that take them one by one. Not where the shape of an output differs from example to example.
    ``work``       multiply-adds of one example, roughly.
    """

    calls: tuple[Call | Region, ...]
    outputs: tuple[str, ...]
    shapes: Mapping[str, Shape | None]
    constants: Mapping[str, Array]
    stackable: bool
    work: int

    @property
    def together(self) -> bool:
        """Whether every call takes examples stacked."""
        return self.stackable and all(isinstance(call, Region) or call.stacked is not None for call in self.calls)

    @property
    def compiled(self) -> bool:
        """Whether all of it is compiled programs, which need no BLAS."""
        return all(isinstance(call, Region) for call in self.calls)

    def run(self, inputs: Mapping[str, Array], *, stacked: bool, tape: Tape | None = None, stop: Stop | None = None) -> dict[str, Array]:
        """The outputs by name.

        ``stacked``: each input has one more leading axis, of examples, and so has each output. ``tape``: keeps what the
        way back needs. ``stop`` is asked between nodes and between the turns of loops.
        Raises ``MLModelError`` naming the layer that refuses its inputs' values, ``MLPredictionCancelledError`` where
        ``stop`` is true.
        """
        examples = len(next(iter(inputs.values()))) if stacked else None
        values: dict[str, Any] = {**inputs, **self._shared(examples)}
        watch = watched()
        with quiet():
            for call in self.calls:
                if stop is not None:
                    look(stop, call.node)
                if isinstance(call, Region):
                    call.run(values, examples, watch)
                elif watch is None:
                    self._step(call, values, examples, tape, stop)
                else:
                    self._watched_step(watch, call, values, examples, tape, stop)
                for name in call.done:
                    values.pop(name, None)
        for name in self.outputs:
            if name not in values:
                raise MLModelError(f"output {name!r}: expected it to be made, got a block that did not make it")
        return {name: np.array(values[name], like=values[name]) if name in self.constants else values[name] for name in self.outputs}

    def _shared(self, examples: int | None) -> Mapping[str, Array]:
        """The constants, which all examples share."""
        if examples is None:
            return self.constants
        return {name: np.broadcast_to(value, (examples, *value.shape)) for name, value in self.constants.items()}

    def _step(self, call: Call, values: dict[str, Any], examples: int | None, tape: Tape | None, stop: Stop | None) -> None:
        """Runs one call; what it makes goes into ``values``."""
        node, op = call.node, call.op
        apart = examples is not None and call.stacked is None
        if op is None or apart:
            made = run_within(node, call.weights, values, examples, tape, stop)
            values.update({name: np.stack(value) if apart and self.shapes[name] is not None else value for name, value in made.items()})
            return
        given = taken(node, values)
        if call.late:
            foretold(node, op, [x.shape for x in given], call.weights)
        attributes = node.attributes if examples is None or call.stacked is None else call.stacked
        compute(node, op, given, call.weights, attributes, values, tape)

    def _watched_step(
        self, watch: Watch, call: Call, values: dict[str, Any], examples: int | None, tape: Tape | None, stop: Stop | None
    ) -> None:
        """``_step``, and what there is to tell of it, where its layers have not told it themselves."""
        node, op, before = call.node, call.op, watch.told()
        given = [_first(values[name], examples) for name in node.inputs if name in values]
        begin = perf_counter()
        self._step(call, values, examples, tape, stop)
        seconds = perf_counter() - begin
        if watch.told() > before:
            return
        made = [values[name] for name in node.outputs if name in values]
        count = 1 if examples is None else examples
        watch.tell(
            Step(
                node.name,
                node.kind,
                seconds,
                node.inputs,
                node.outputs,
                count,
                tuple(_first(value, examples) for value in made),
                sum(map(_bytes, made)),
                sum(array.nbytes for array in call.weights),
                0 if op is None else count * op.work(*given, *(array.shape for array in call.weights), **node.attributes),
                sum(map(_bytes, values.values())),
            )
        )


def _first(column: Any, examples: int | None) -> Shape:
    """The shape of one example, the first that there is."""
    if examples is None or isinstance(column, np.ndarray):
        return tuple(column.shape[examples is not None :])
    return next(row.shape for row in column if row is not None)


def _bytes(column: Any) -> int:
    """Bytes of a column, stacked or not."""
    return column.nbytes if isinstance(column, np.ndarray) else sum(row.nbytes for row in column if row is not None)


def make_plan(
    graph: Graph, shapes: Mapping[str, Shape], constants: Mapping[str, Array] | None = None, packed: Packed | None = None
) -> Plan:
    """The plan of ``graph`` for inputs of ``shapes`` (of one example); computes nothing.

    ``constants``: what ``find_constants`` finds in ``graph``, so that it is not made anew by every run.
    ``packed``: puts what has steps together as programs, which take their weights from there; a plan with programs keeps no tape.
    Raises ``MLUnsupportedError`` naming the first layer needed that this version cannot run, and ``MLModelError`` naming
    the layer that its inputs' shapes do not fit, with what it expected and got.
    """
    constants = constants or {}
    nodes = graph.needed(graph.outputs, constants)
    _check_known(nodes)
    known: dict[str, Shape | None] = {name: tuple(shapes[name]) for name in graph.inputs if name in shapes}
    known.update({name: value.shape for name, value in constants.items()})
    last = {name: place for place, node in enumerate(nodes) for name in (*node.inputs, *node.outputs)}
    calls = []
    work = 0
    for place, node in enumerate(nodes):
        op = node.op
        weights = tuple(graph.parameters[key] for key in node.parameters)
        shapes_in = [shape for name in node.inputs if (shape := known[name]) is not None]
        late = op is None or len(shapes_in) < len(node.inputs)
        stacked, own = None, 0
        if isinstance(node.control, (Branch, Loop)):
            after, of_blocks = told(node, dict(zip(node.control.takes, map(known.get, node.inputs), strict=True)), graph.parameters)
            known.update(zip(node.outputs, map(after.get, node.control.makes), strict=True))
            work += of_blocks
        elif op is None or late:
            known.update(dict.fromkeys(node.outputs))
        else:
            known.update(foretold(node, op, shapes_in, weights))
            own = op.work(*shapes_in, *(array.shape for array in weights), **node.attributes)
            work += own
            # examples that draw go one by one, so that each has the numbers that it would have alone
            if op.batched and shapes_in and not op.draws and all(known[name] is not None for name in node.outputs):
                stacked = op.batched(node.attributes, tuple(map(len, shapes_in)))
        done = tuple(name for name in dict.fromkeys((*node.inputs, *node.outputs)) if last[name] == place and name not in graph.outputs)
        told_all = [known[name] for name in (*node.inputs, *node.outputs)]
        bound = tuple(shape for shape in told_all if shape is not None)
        calls.append(Call(node, op, weights, stacked, done, late, bound if len(bound) == len(told_all) else (), own))
    stackable = all(known.get(name) is not None for name in graph.outputs) and any(call.stacked is not None for call in calls)
    bound_calls = tuple(calls) if packed is None else with_programs(calls, graph.outputs, constants, packed)
    return Plan(bound_calls, graph.outputs, known, constants, stackable, work)


def _check_known(nodes: tuple[Node, ...]) -> None:
    """Raises ``MLUnsupportedError`` naming the first layer of a kind that cannot be run, in blocks too."""
    for node in inside(nodes):
        if node.op is None and node.control is None:
            raise MLUnsupportedError(f"layer {node.name!r} of kind {node.kind!r} is not supported yet")


class Plans:
    """The plans of one graph, made when first asked for; the least recently used go when there are more than ``most``.

    ``learns``: keys of parameters that will change. ``programs``: whether plans are for predicting only, by compiled programs.
    ``constants``: what ``find_constants`` would find, where that is known.
    """

    def __init__(
        self,
        graph: Graph,
        most: int = 16,
        learns: Collection[str] = (),
        programs: bool = False,
        constants: Mapping[str, Array] | None = None,
    ) -> None:
        self.graph = graph
        self._packed: Packed | None = {} if programs else None
        self._learns = learns
        self._constants = constants
        self._most = most
        self._lock = Lock()
        self._plans: OrderedDict[tuple[Shape, ...], Plan] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Plans of {len(self.graph.nodes)} nodes for {len(self._plans)} shapes>"

    def __len__(self) -> int:
        return len(self._plans)

    @property
    def constants(self) -> Mapping[str, Array]:
        """The values that no input changes, as far as others need them."""
        if self._constants is None:
            self._constants = find_constants(self.graph, self._learns)
        return self._constants

    def plan(self, shapes: Mapping[str, Shape]) -> Plan:
        """The plan for inputs of ``shapes``; see ``make_plan`` for what it raises."""
        key = tuple(tuple(shapes[name]) for name in self.graph.inputs)
        with self._lock:
            plan = self._plans.get(key)
            if plan is not None:
                self._plans.move_to_end(key)
                return plan
        packed = self._packed if can_run() else None  # asked now, since it imports Numba, which loading a model can do without
        plan = make_plan(self.graph, shapes, self.constants, packed)
        with self._lock:
            self._plans[key] = plan
            while len(self._plans) > self._most:
                self._plans.popitem(last=False)
        return plan
