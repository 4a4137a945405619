"""Small models to spoil: a layer a model for every case of every op, networks with blocks, lessons, pipelines, and other people's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import numpy as np

from tailor.kernels import OPS, Array
from tailor.runtime.format import Model, NeuralNetworkBuilder, array_feature, double_feature, encode_weights, load_model, write_origins
from tests.kernels.cases import CASES
from tests.kernels.cases.case import Case, numbers
from tests.models.hand_made import classifier, pipeline
from tests.models.test_custom_models import custom
from tests.models.test_linked import link
from tests.models.test_private_parts import PRIVATE, private
from tests.models.test_recommender import recommender
from tests.models.test_sound import preprocessing
from tests.models.test_suppression import BOXES, SCORES, suppression
from tests.models.transform_cases import CASES as TRANSFORMS
from tests.models.transform_cases import Case as TransformCase
from tests.network.models import digits_builder, teach
from tests.network.test_control import choosing, doubling, leaving, summing
from tests.places import SHARED_MODELS
from tests.tasks.models import regression_model

LARGEST = 100_000
"""Bytes of a model of other people's, at most: small ones are spoilt faster."""


@dataclass(frozen=True)
class Seed:
    """A model's message, and inputs that it takes."""

    spec: Any
    inputs: Mapping[str, Array] = field(default_factory=dict)


def one_layer(case: Case) -> Seed:
    """A network of the case's layer alone, with its message, weights and inputs."""
    names = [f"x{number}" for number in range(len(case.inputs))]
    outputs = [f"y{number}" for number in range(_answers(case))]
    features = [array_feature(name, x.shape if 0 not in x.shape else ()) for name, x in zip(names, case.inputs, strict=True)]
    builder = NeuralNetworkBuilder(features, list(map(array_feature, outputs)), disable_rank5_shape_mapping=True)
    layer = builder.nn_spec.layers.add(name="spoilt", input=names, output=outputs)
    message: Any = layer
    for part in case.op.split("."):
        message = getattr(message, part)
        message.SetInParent()
    _fill(message, case.message)
    left = list(case.weights.values())

    def decode(part: Any, name: str, shape: tuple[int, ...]) -> Array:
        place = next((n for n, array in enumerate(left) if array.shape == shape or shape == (-1,)), None)
        array = numbers(*shape) if place is None else left.pop(place)
        encode_weights(getattr(part, name), array)
        return array.astype(np.float32)

    OPS[case.op].read(message, decode)
    return Seed(builder.spec, dict(zip(names, case.inputs, strict=True)))


def _answers(case: Case) -> int:
    """How many outputs the layer has."""
    op = OPS[case.op]
    made = None if op.draws else op.forward(*case.inputs, *case.weights.values(), **case.attributes)
    return len(made) if isinstance(made, tuple) else 1


def _fill(message: Any, given: SimpleNamespace) -> None:
    """Puts what is in a hand-made message into one of the format."""
    for name, value in vars(given).items():
        if name == "oneof":
            if value is not None:
                getattr(message, value).SetInParent()
            continue
        if name not in message.DESCRIPTOR.fields_by_name or isinstance(value, np.ndarray) or value is None:
            continue
        target = getattr(message, name)
        if isinstance(value, SimpleNamespace):
            target.SetInParent()
            _fill(target, value)
        elif isinstance(value, (list, tuple)):
            for element in value:
                if isinstance(element, SimpleNamespace):
                    _fill(target.add(), element)
                else:
                    target.append(element)
        elif message.DESCRIPTOR.fields_by_name[name].message_type is not None:
            target.SetInParent()  # weights, which ``one_layer`` puts in
        else:
            setattr(message, name, value)


def quantised(kind: str, bits: int) -> Seed:
    """An inner product of 3 x 4 weights of few bits, by a line or a table."""
    builder = NeuralNetworkBuilder([array_feature("x", (4,))], [array_feature("y")], disable_rank5_shape_mapping=True)
    builder.add_inner_product("dense", numbers(3, 4), None, 4, 3, False, "x", "y")
    weights = builder.nn_spec.layers[0].innerProduct.weights
    weights.ClearField("floatValue")
    weights.rawValue = bytes(range(17, 17 + (12 * bits + 7) // 8))
    weights.quantization.numberOfBits = bits
    table = np.linspace(-1, 1, 1 << bits, dtype="<f4")
    if kind == "table":
        weights.quantization.lookupTableQuantization.floatValue.append(table.tobytes())
    else:
        weights.quantization.linearQuantization.scale.append(table[:3].tobytes())
        weights.quantization.linearQuantization.bias.append(table[-3:].tobytes())
    return Seed(builder.spec, {"x": numbers(4)})


def flexible(kind: str) -> Seed:
    """A ReLU of arrays of several shapes, enumerated or in ranges."""
    builder = NeuralNetworkBuilder([array_feature("x", (2, 3))], [array_feature("y")], disable_rank5_shape_mapping=True)
    builder.add_activation("relu", "RELU", "x", "y")
    array = builder.spec.description.input[0].type.multiArrayType
    if kind == "enumerated":
        for shape in ((2, 3), (4, 3)):
            array.enumeratedShapes.shapes.add(shape=shape)
    else:
        for lower, upper in ((1, 5), (2, -1)):
            array.shapeRange.sizeRanges.add(lowerBound=lower, upperBound=upper)
    return Seed(builder.spec, {"x": numbers(2, 3)})


def spaced() -> Seed:
    """Two networks in a pipeline."""
    first, second = (NeuralNetworkBuilder([array_feature(a, (3,))], [array_feature(b, (3,))]) for a, b in (("x", "m"), ("m", "y")))
    first.add_activation("relu", "RELU", "x", "m")
    second.add_elementwise("more", ["m"], "y", "ADD", 1.0)
    return Seed(pipeline([first.spec, second.spec], [array_feature("x", (3,))], [array_feature("y", (3,))]), {"x": numbers(3)})


def _plain(make: Callable[[], Any], **inputs: float) -> Seed:
    return Seed(make(), {name: np.array([value]) for name, value in inputs.items()})


def theirs() -> Seed:
    """A small network by coremltools' builder; raises ``ImportError`` where that is absent."""
    from coremltools.models import datatypes, neural_network  # type: ignore[import-not-found, unused-ignore]

    builder = neural_network.NeuralNetworkBuilder([("x", datatypes.Array(3))], [("y", datatypes.Array(2))])
    builder.add_inner_product("dense", numbers(2, 3), numbers(2), 3, 2, True, "x", "a")
    builder.add_activation("tanh", "SCALED_TANH", "a", "b", [1.0, 2.0])
    builder.add_softmax("soft", "b", "y")
    return Seed(Model.FromString(builder.spec.SerializeToString()), {"x": numbers(3)})


@cache
def makers() -> dict[str, Callable[[], Seed]]:
    """How each model of the corpus is made, by name, in an order that does not change."""
    made: dict[str, Callable[[], Seed]] = {}
    for case in CASES:
        name = str(case)
        made[name if name not in made else f"{name}#{sum(other.startswith(name) for other in made)}"] = partial(one_layer, case)
    made |= {f"quantised-{kind}-{bits}": partial(quantised, kind, bits) for kind in ("line", "table") for bits in (1, 3, 8)}
    made |= {f"flexible-{kind}": partial(flexible, kind) for kind in ("enumerated", "ranges")}
    made |= {
        "summing": partial(_plain, summing, x=3),
        "doubling": partial(_plain, partial(doubling, 4), x=1, n=20),
        "leaving": partial(_plain, partial(leaving, "loopBreak"), x=7),
        "choosing": partial(_plain, partial(choosing, True), x=3, c=1),
        "digits": lambda: Seed(digits_builder().spec),
        "digits-classifier": lambda: Seed(digits_builder(["a", "b", "c"]).spec),
        "digits-taught": lambda: Seed(teach(digits_builder())),
        "digits-taught-sgd": lambda: Seed(teach(digits_builder(), adam=False)),
        "regression-taught": lambda: Seed(regression_model().spec),
        "neighbours": lambda: Seed(classifier([[0, 0], [1, 1], [2, 0]], ["a", "b", "c"], k=1)),
        "neighbours-tree": lambda: Seed(classifier([[0, 0], [1, 1], [2, 0]], [1, 2, 3], k=2, default=7, kd_tree=True)),
        "neighbours-known": lambda: Seed(_known(classifier([[0, 0], [1, 1], [2, 0]], ["a", "b", "c"], k=2))),
        "pipeline": spaced,
        "identity": lambda: Seed(_identity()),
        "suppression": lambda: Seed(suppression(scores=(3, 2), boxes=(3, 4)), {"scores": SCORES, "boxes": BOXES}),
    }
    made |= {
        "recommender": lambda: Seed(recommender()),
        "recommender-strings": lambda: Seed(recommender(ids=["a", "b", "c", "d", "e"])),
        "recommender-arrays": lambda: Seed(recommender(scored=False, arrays=True), {name: np.arange(2) for name in ("items", "only")}),
        "sound": lambda: Seed(preprocessing()),
        "custom": lambda: Seed(custom(size=("longValue", 7))),
        "linked": lambda: Seed(link(_identity())),
    }
    made |= {f"private-{part}": partial(_plain, partial(private, part)) for part in PRIVATE}
    made |= {f"transform-{name}": partial(_transform, case) for name, case in TRANSFORMS.items()}
    if find_spec("coremltools"):
        made["theirs"] = theirs
    files = sorted(SHARED_MODELS.glob("*.mlmodel")) if SHARED_MODELS.exists() else []
    for path in files:
        if path.stat().st_size <= LARGEST and not path.name.startswith("Corrupt"):
            made[path.stem] = partial(_read, str(path))
    return made


def _known(model: Model) -> Model:
    """A classifier that says where its examples came from."""
    write_origins(model, [None, ("one", "phone", "2026-01-02T03:04:05+00:00"), ("two", "", "")], "corpus")
    return model


def _identity() -> Any:
    made = Model(specificationVersion=4)
    made.identity.SetInParent()
    made.description.input.append(double_feature("x"))
    made.description.output.append(double_feature("x"))
    return made


def _transform(case: TransformCase) -> Seed:
    given, _ = case.answers[0]
    return Seed(case.model.spec, {name: value for name, value in given.items() if isinstance(value, np.ndarray)})


def _read(path: str) -> Seed:
    return Seed(load_model(path))


@cache
def seed(name: str) -> Seed:
    """The model of the corpus called ``name``; must not be changed."""
    return makers()[name]()
