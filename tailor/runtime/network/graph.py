"""The network's graph: values with names, made once, by nodes in an order that can be run.

A graph knows nothing of the file it came from. A node that holds blocks (a branch, a loop) takes what they need from
outside and makes whatever they write; inside, its blocks run in order and may write a name again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from heapq import heapify, heappop, heappush

from tailor.kernels import Array, Attributes, Op

from ..errors import MLFormatError


class Jump(Enum):
    """What ends a turn of a loop early: the loop goes too, or goes on with its next turn."""

    BREAK = "loopBreak"
    CONTINUE = "loopContinue"


@dataclass(frozen=True, slots=True)
class Branch:
    """One of two blocks, by the value named ``condition``. ``takes``, ``makes``: what the node's inputs and outputs are called inside."""

    condition: str
    then: tuple[Node, ...]
    otherwise: tuple[Node, ...]
    takes: tuple[str, ...] = ()
    makes: tuple[str, ...] = ()

    @property
    def blocks(self) -> tuple[tuple[Node, ...], ...]:
        """The blocks, in the order in which they may run."""
        return (self.then, self.otherwise)


@dataclass(frozen=True, slots=True)
class Loop:
    """A block, turn after turn.

    ``count``      the value that says how many turns there are at most; ``""``: ``most`` says it, ``None`` for no end.
    ``condition``  runs before each turn and makes ``variable``, which ends the loop where it is zero; may be empty.
    """

    count: str
    most: int | None
    condition: tuple[Node, ...]
    variable: str
    body: tuple[Node, ...]
    takes: tuple[str, ...] = ()
    makes: tuple[str, ...] = ()

    @property
    def blocks(self) -> tuple[tuple[Node, ...], ...]:
        """The blocks, in the order in which they run."""
        return (self.condition, self.body)


@dataclass(frozen=True, slots=True)
class Node:
    """One step: ``outputs = op(*inputs, *parameters, **attributes)``.

    ``name``        the layer's name, for people; it need not be unique.
    ``kind``        the layer's kind, as the format calls it.
    ``op``          ``None`` where this version cannot run the kind: an error only once its answer is needed.
    ``parameters``  keys into the graph's parameters, in the order in which they trail the inputs.
    ``control``     for a branch, a loop or a jump out of one, which have no op; their parameters are those of their blocks.
    """

    name: str
    kind: str
    op: Op | None
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Attributes = field(default_factory=dict)
    parameters: tuple[str, ...] = ()
    control: Branch | Loop | Jump | None = None

    @property
    def who(self) -> str:
        """How errors call this node."""
        return f"layer {self.name!r} ({self.kind})"


def inside(nodes: tuple[Node, ...]) -> Iterator[Node]:
    """``nodes`` and those in their blocks, all the way down."""
    for node in nodes:
        yield node
        if isinstance(node.control, (Branch, Loop)):
            for block in node.control.blocks:
                yield from inside(block)


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes in an order in which every value is made before it is used.

    ``parameters`` are keyed ``<layer>.<field>``, for example ``conv1.weights``. Nodes may be given in any order.

    Raises ``MLFormatError`` naming the layer where two layers make one value, a layer overwrites an input, a value is
    used that nobody makes, or layers wait for each other.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    parameters: Mapping[str, Array] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        makers = self._makers()
        known = makers.keys() | set(self.inputs)
        for node in self.nodes:
            for value in node.inputs:
                if value not in known:
                    raise MLFormatError(
                        f"{node.who}: expected its input {value!r} to be an input of the model or the output of a layer, got neither"
                    )
            for key in node.parameters:
                if key not in self.parameters:
                    raise MLFormatError(f"{node.who}: expected a parameter {key!r}, got {', '.join(self.parameters) or 'none'}")
        for value in self.outputs:
            if value not in known:
                raise MLFormatError(f"output {value!r}: expected it to be made by a layer, got no layer that makes it")
        object.__setattr__(self, "nodes", _ordered(self.nodes, makers))

    def _makers(self) -> dict[str, int]:
        """Which node makes each value, by its place."""
        makers: dict[str, int] = {}
        for place, node in enumerate(self.nodes):
            for value in node.outputs:
                if value in self.inputs:
                    raise MLFormatError(f"{node.who}: expected an output of its own, got {value!r}, which is an input of the model")
                if value in makers:
                    raise MLFormatError(
                        f"{node.who}: expected an output of its own, got {value!r}, which {self.nodes[makers[value]].who} makes"
                    )
                makers[value] = place
        return makers

    def maker(self, value: str) -> Node | None:
        """The node that makes ``value``; ``None`` for an input."""
        return next((node for node in self.nodes if value in node.outputs), None)

    def users(self, value: str) -> tuple[Node, ...]:
        """The nodes that take ``value``."""
        return tuple(node for node in self.nodes if value in node.inputs)

    def needed(self, wanted: Iterable[str], given: Iterable[str] = ()) -> tuple[Node, ...]:
        """The nodes on which ``wanted`` values depend, in order, where those ``given`` are there already."""
        there = set(given)
        alive = set(wanted) - there
        kept: list[Node] = []
        for node in reversed(self.nodes):
            if not alive.isdisjoint(node.outputs):
                alive.update(name for name in node.inputs if name not in there)
                kept.append(node)
        return tuple(reversed(kept))

    def towards(self, *wanted: str) -> Graph:
        """The part of this graph that makes ``wanted``: its outputs are ``wanted``, its inputs those that are needed."""
        nodes = self.needed(wanted)
        used = set(wanted).union(*(node.inputs for node in nodes))
        keys = {key for node in nodes for key in node.parameters}
        return replace(
            self,
            inputs=tuple(name for name in self.inputs if name in used),
            outputs=wanted,
            nodes=nodes,
            parameters={key: array for key, array in self.parameters.items() if key in keys},
        )


def _ordered(nodes: tuple[Node, ...], makers: Mapping[str, int]) -> tuple[Node, ...]:
    """``nodes`` so that makers come before users, otherwise in the order given."""
    waits = [{makers[value] for value in node.inputs if value in makers} for node in nodes]
    users: list[list[int]] = [[] for _ in nodes]
    for place, makers_of in enumerate(waits):
        for maker in makers_of:
            users[maker].append(place)
    left = [len(makers_of) for makers_of in waits]
    ready = [place for place, count in enumerate(left) if count == 0]
    heapify(ready)
    order: list[Node] = []
    while ready:
        place = heappop(ready)
        order.append(nodes[place])
        for user in users[place]:
            left[user] -= 1
            if left[user] == 0:
                heappush(ready, user)
    if len(order) < len(nodes):
        place = _in_a_cycle(waits, left)
        stuck = next(value for value in nodes[place].inputs if value in makers and left[makers[value]])
        raise MLFormatError(
            f"{nodes[place].who}: expected its inputs to be made before it runs, got {stuck!r}, which depends on its own output: a cycle"
        )
    return tuple(order)


def _in_a_cycle(waits: list[set[int]], left: list[int]) -> int:
    """A node on a cycle: among those left over, walk to makers until one comes twice."""
    place = next(place for place, count in enumerate(left) if count)
    seen: set[int] = set()
    while place not in seen:
        seen.add(place)
        place = next(maker for maker in sorted(waits[place]) if left[maker])
    return place
