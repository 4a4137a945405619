"""Neural networks: plain, classifier and regressor; their prediction. ``network_learner`` teaches them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tailor.kernels import Array

from ..accelerators import Residents, device_at_work
from ..errors import MLFormatError, MLModelError
from ..network import Plans, Tensors, company_matters, fold_batchnorms, fuse, run_all, shared_team
from .family import Column, Columns
from .labels import Classes
from .lowered import graph_of, inputs_of, network_of
from .tensors import RANK5_ARRAYS, RANK5_IMAGES, make_output


class NetworkPredictor:
    """Predicts with a network; batches are stacked and shared out over a team of threads.

    Raises ``MLFormatError`` where the message contradicts itself. A layer that this version cannot run is no error until
    something is predicted.
    """

    def __init__(self, spec: Any, who: str) -> None:
        network = network_of(spec)
        classifier = spec.WhichOneof("Type") == "neuralNetworkClassifier"
        # Networks for ImageNet are about, in which two classes are called "crane".
        self._classes = Classes.of(spec, network, who, repeats=True) if classifier else None
        made_of_scores = (self._classes.label_name, self._classes.probabilities_name) if self._classes else ()
        self._scores = (network.labelProbabilityLayerName or _last_output(network, who)) if classifier else ""
        rank5 = (network.arrayInputShapeMapping, network.imageInputShapeMapping) == (RANK5_ARRAYS, RANK5_IMAGES)
        plain = [feature for feature in spec.description.output if feature.name not in made_of_scores]
        self._outputs = [make_output(feature, rank5, who) for feature in plain]
        graph = graph_of(spec, [output.name for output in self._outputs] + [self._scores] * classifier, who)
        graph = fuse(fold_batchnorms(graph.towards(*graph.outputs)))
        self._inputs = inputs_of(spec, graph.inputs, who)
        self._plans = Plans(graph, programs=True)
        self._residents = Residents(self._plans)
        self._who = who

    def __repr__(self) -> str:
        return f"<NetworkPredictor {self._who}: {self._plans!r}>"

    @property
    def kept_here(self) -> str:
        """Why it cannot predict on an accelerator, ``""`` where it can."""
        return self._residents.kept_here

    def predict(self, columns: Columns, count: int) -> dict[str, Column]:
        """See ``Predictor``. Raises ``MLUnsupportedError`` naming the layer and its kind where one cannot be run."""
        tensors = {entry.name: entry.read(columns.get(entry.name), count) for entry in self._inputs}
        values = self._computed(tensors, count)
        made: dict[str, Column] = {output.name: output.write(values[output.name]) for output in self._outputs}
        if self._classes:
            made.update(self._classes.answer(self._probabilities(values[self._scores], len(self._classes.labels))))
        return made

    def _computed(self, tensors: Tensors, count: int) -> Mapping[str, Array | list[Array]]:
        """The graph's outputs: made on the device that this thread works on, if it does and they can be, else here."""
        device = device_at_work()
        if device is not None and not company_matters():
            values = self._residents.run(device, tensors, count)
            if values is not None:
                return values
        return run_all(self._plans, tensors, count, shared_team())

    def _probabilities(self, scores: Array | list[Array], classes: int) -> Array:
        """The scores as rows ``[count, classes]``."""
        rows = [np.asarray(row).reshape(-1) for row in scores]
        for row in rows:
            if row.size != classes:
                raise MLModelError(f"{self._who}: expected {classes} probabilities in {self._scores!r}, one a class label, got {row.size}")
        return np.array(rows).reshape(len(rows), classes)


def _last_output(network: Any, who: str) -> str:
    if not network.layers or not network.layers[-1].output:
        raise MLFormatError(
            f"{who}: expected a last layer that makes the class probabilities, got {len(network.layers)} layers and no output"
        )
    return str(network.layers[-1].output[0])
