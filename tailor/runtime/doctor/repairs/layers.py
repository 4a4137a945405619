"""The layers of a network while they are changed: who makes a value, who takes it, and what else may then go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from tailor.kernels import Shape

from ...errors import MLFormatError
from ...format import Network, NeuralNetworkLayer
from ...format.layers import BLOCKS


class Layers:
    """A copy of the layers of ``network``, to change; ``write`` puts them back.

    ``outputs``: the values whose names and shapes others rely on. ``shapes``: those of values, of one example, as far as they are known.
    """

    def __init__(self, network: Network, outputs: Collection[str], shapes: Mapping[str, Shape]) -> None:
        self.outputs = set(outputs)
        self._network = network
        self._shapes = dict(shapes)
        self._layers: list[NeuralNetworkLayer] = [_copy(layer) for layer in network.layers]
        # Both by identity:
        self._added: dict[int, NeuralNetworkLayer] = {}  # named when all is done, for many of them go again
        self._idle: dict[int, NeuralNetworkLayer] = {}  # those that go where nobody takes what they make
        written = Counter(name for layer in self._layers for name in layer.output)
        self._changing = {name for name, count in written.items() if count > 1}
        self._changing.update(name for layer in self._layers for inner in _inside(layer) for name in inner.output)

    def __iter__(self) -> Iterator[NeuralNetworkLayer]:
        return iter(list(self._layers))

    def __contains__(self, layer: NeuralNetworkLayer) -> bool:
        return any(layer is one for one in self._layers)

    @property
    def last(self) -> NeuralNetworkLayer | None:
        """The last layer; ``None`` where there is none."""
        return self._layers[-1] if self._layers else None

    def write(self) -> None:
        """Gives the network the layers as they are now."""
        while self._drop_idle():
            pass
        names = {layer.name for layer in self._layers if id(layer) not in self._added}
        for layer in self._layers:
            if id(layer) not in self._added:
                continue
            layer.name = unlike(layer.name, names)
            names.add(layer.name)
        del self._network.layers[:]
        self._network.layers.extend(self._layers)

    def shape(self, value: str) -> Shape:
        """The shape of ``value``; raises ``MLFormatError`` where it is not known beforehand."""
        if value not in self._shapes:
            custom = ", ".join(sorted({layer.custom.className for layer in self._layers if layer.HasField("custom")}))
            hint = f"; custom layers tell theirs once their classes are registered: {custom}" if custom else ""
            raise MLFormatError(f"value {value!r}: expected a shape that is known beforehand, got one that no input or layer tells{hint}")
        return self._shapes[value]

    def knows(self, *values: str) -> bool:
        """Whether the shapes of ``values`` are known."""
        return all(value in self._shapes for value in values)

    def made_by(self, value: str) -> NeuralNetworkLayer | None:
        """The one layer that makes ``value``; ``None`` for an input, and for what is written more than once, or in a block."""
        if value in self._changing:
            return None
        return next((layer for layer in self._layers if value in layer.output), None)

    def steady(self, value: str) -> bool:
        """Whether ``value`` is the same all the time: an input, or what one layer makes, outside of blocks."""
        return value not in self._changing

    def uses(self, value: str) -> int:
        """How often ``value`` is taken, by layers or from the model."""
        return sum(list(one.input).count(value) for layer in self._layers for one in (layer, *_inside(layer))) + (value in self.outputs)

    def add(
        self, name: str, taken: str, made: str, shape: Shape, fill: Callable[[Any], object], after: NeuralNetworkLayer | None
    ) -> NeuralNetworkLayer:
        """Adds a layer behind ``after``, or in front of all others, that makes ``made`` of ``taken``; it is named when all is done."""
        layer = NeuralNetworkLayer(name=name, input=[taken], output=[made])
        fill(layer)
        self._layers.insert(0 if after is None else self._place(after) + 1, layer)
        self._added[id(layer)] = layer
        self._shapes[made] = shape
        return layer

    def redirect(self, layer: NeuralNetworkLayer, taken: str, made: str, shape: Shape) -> None:
        """Has ``layer`` make ``made`` of ``taken``."""
        layer.input[0], layer.output[0] = taken, made
        layer.ClearField("inputTensor")
        layer.ClearField("outputTensor")
        self._shapes[made] = shape

    def replace(self, old: str, new: str) -> bool:
        """Has everybody who takes ``old`` take ``new`` instead; of an output of the model, only where the maker of ``new`` can give it."""
        if old in self.outputs:
            made = self.made_by(new)
            if made is None or new in self.outputs:
                return False
            if (maker := self.made_by(old)) is not None:
                maker.output[list(maker.output).index(old)] = self.fresh(old)
            made.output[list(made.output).index(new)] = old
            old, new = new, old
            self._shapes[new] = self._shapes[old]
        for layer in self._layers:
            for one in (layer, *_inside(layer)):
                for place, name in enumerate(one.input):
                    if name == old:
                        one.input[place] = new
                        one.ClearField("inputTensor")
        return True

    def remove(self, layer: NeuralNetworkLayer) -> None:
        """Takes a layer away."""
        del self._layers[self._place(layer)]

    def let_go(self, layer: NeuralNetworkLayer) -> None:
        """Takes a layer away in the end, if nobody takes what it makes by then."""
        self._idle[id(layer)] = layer

    def fresh(self, value: str) -> str:
        """A name for a value that nobody has: ``value``, maybe with a number."""
        taken = {name for layer in self._layers for one in (layer, *_inside(layer)) for name in (*one.input, *one.output)}
        return unlike(value, taken | self.outputs | self._shapes.keys())

    def _drop_idle(self) -> bool:
        """Takes away layers that were let go and that nobody needs, the last ones first; whether there were any."""
        taken = Counter(name for layer in self._layers for one in (layer, *_inside(layer)) for name in one.input)
        taken.update(self.outputs)
        going: set[int] = set()
        for layer in reversed(self._layers):
            if id(layer) in self._idle and not any(taken[name] for name in layer.output):
                going.add(id(layer))
                taken.subtract(layer.input)
        self._layers = [layer for layer in self._layers if id(layer) not in going]
        return bool(going)

    def _place(self, layer: NeuralNetworkLayer) -> int:
        return next(place for place, one in enumerate(self._layers) if one is layer)


def unlike(name: str, taken: Collection[str]) -> str:
    """``name``, with a number where it is among those ``taken``."""
    number, made = 1, name
    while made in taken:
        number += 1
        made = f"{name}_{number}"
    return made


def _inside(layer: NeuralNetworkLayer) -> Iterator[NeuralNetworkLayer]:
    """The layers in the blocks of a branch or a loop, all the way down."""
    kind = layer.WhichOneof("layer") or ""
    for block in BLOCKS.get(kind, ()):
        for inner in getattr(getattr(layer, kind), block).layers:
            yield inner
            yield from _inside(inner)


def _copy(layer: NeuralNetworkLayer) -> NeuralNetworkLayer:
    made = NeuralNetworkLayer()
    made.CopyFrom(layer)
    return made
