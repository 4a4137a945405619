"""The last inner products of a converted network, moved to channels: ``[1, C, 1, 1]`` instead of ``[1, C]``.

Core ML's softmax, which its cross entropy needs, works along channels; and of what lies between a loss and a layer that
learns it can flatten, but not reshape. So what the inner products are given is flattened where it was reshaped, or gets two
axes more; what they answer loses them again where others use it. The numbers stay the same.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from ..format import Network, NeuralNetworkLayer

_BY_CHANNEL = ("PReLU", "parametricSoftplus")
_TWO_MORE = (2, 3)


class Channels:
    """The layers of ``network`` while they are changed; ``write`` puts them back. ``outputs``: the names that the model gives."""

    def __init__(self, network: Network, outputs: Collection[str]) -> None:
        self._network = network
        self._outputs = outputs
        self._layers = [_copy(layer) for layer in network.layers]

    def write(self) -> None:
        """Gives the network the layers as they are now."""
        del self._network.layers[:]
        self._network.layers.extend(self._layers)

    def softmax(self, output: str, classifier: bool) -> str:
        """The name of a value that is the softmax, along channels, of the logits that ``output`` is, or is the softmax of.

        ``output`` keeps its numbers, and its shape too unless it is the probabilities of a ``classifier``, which may have any.
        """
        made = self._made_by(output)
        if made is not None and made.HasField("softmax"):
            return output
        if made is None or not made.HasField("softmaxND"):
            value = self._fresh(f"{output}_probabilities")
            self._add("softmax", self._to_channels(output), value, lambda layer: layer.softmax.SetInParent())
            return value
        self._layers.remove(made)
        value = output if classifier else self._fresh(f"{output}_channels")
        self._add("softmax", self._to_channels(made.input[0]), value, lambda layer: layer.softmax.SetInParent())
        if not classifier:
            self._add("squeeze", value, output, lambda layer: layer.squeeze.axes.extend(_TWO_MORE))
        return value

    def _to_channels(self, logits: str) -> str:
        """The name of a value ``[1, C, 1, 1]`` of the numbers of ``logits``, ``[1, C]``."""
        chain: list[NeuralNetworkLayer] = []  # the last one first
        start = logits
        while (maker := self._made_by(start)) is not None and _along(maker) and not (chain and self._uses(start) > 1):
            chain.append(maker)
            start = maker.input[0]
        value, source = self._fresh(f"{start}_channels"), self._made_by(start)
        at = self._layers.index(chain[-1]) if chain else None
        if source is not None and source.HasField("reshapeStatic") and self._image(source.input[0]):
            self._add("flatten", source.input[0], value, lambda layer: layer.flatten.SetInParent(), at)
        else:
            self._add("expand", start, value, lambda layer: layer.expandDims.axes.extend(_TWO_MORE), at)
        for layer in reversed(chain):
            layer.input[0] = value
            value = self._fresh(f"{layer.output[0]}_channels")
            layer.output[0] = value
        if source is not None and source.HasField("reshapeStatic") and not self._uses(start):
            self._layers.remove(source)
        if chain and self._uses(logits):
            self._add("squeeze", value, logits, lambda layer: layer.squeeze.axes.extend(_TWO_MORE), self._layers.index(chain[0]) + 1)
        return value

    def _made_by(self, value: str) -> NeuralNetworkLayer | None:
        return next((layer for layer in self._layers if value in layer.output), None)

    def _uses(self, value: str) -> int:
        return sum(list(layer.input).count(value) for layer in self._layers) + (value in self._outputs)

    def _image(self, value: str) -> bool:
        """Whether a value is known to be ``[1, C, H, W]``."""
        maker = self._made_by(value)
        kind = maker.WhichOneof("layer") if maker is not None else None
        if maker is not None and kind in ("activation", "batchnorm"):
            return self._image(maker.input[0])
        return kind in ("convolution", "pooling")

    def _add(self, name: str, taken: str, made: str, fill: Callable[[NeuralNetworkLayer], None], at: int | None = None) -> None:
        names = {layer.name for layer in self._layers}
        layer = NeuralNetworkLayer(name=_unlike(name, names), input=[taken], output=[made])
        fill(layer)
        self._layers.insert(len(self._layers) if at is None else at, layer)

    def _fresh(self, value: str) -> str:
        return _unlike(value, {name for layer in self._layers for name in (*layer.input, *layer.output)} | set(self._outputs))


def _along(layer: NeuralNetworkLayer) -> bool:
    """Whether a layer makes of ``[1, C, 1, 1]`` what it makes of ``[1, C]``."""
    kind = layer.WhichOneof("layer")
    return kind == "innerProduct" or (kind == "activation" and layer.activation.WhichOneof("NonlinearityType") not in _BY_CHANNEL)


def _copy(layer: NeuralNetworkLayer) -> NeuralNetworkLayer:
    made = NeuralNetworkLayer()
    made.CopyFrom(layer)
    return made


def _unlike(name: str, taken: Collection[str]) -> str:
    number, made = 1, name
    while made in taken:
        number += 1
        made = f"{name}_{number}"
    return made
