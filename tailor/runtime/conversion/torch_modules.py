"""PyTorch modules as sources of a conversion. PyTorch is imported when it is needed; a module that is given is not changed."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from tailor.kernels import Array

from ..errors import MLFormatError
from ..format import Model
from .converter import Inputs, converting, input_types, needed, run, with_shapes


class TorchSource:
    """A ``torch.nn.Module``, traced with zeros of its inputs' shapes, or with the tensors given, or as it was traced already.

    It is converted as it evaluates: dropout does nothing, batch normalisation uses its running statistics.
    """

    def __init__(self, module: Any, inputs: Inputs, respect_trainable: bool, options: Mapping[str, Any]) -> None:
        if not inputs:
            raise MLFormatError("convert: expected the inputs of a PyTorch module, by name with their shapes, got none")
        self._torch = needed("torch")
        self._options = {**options, "inputs": input_types(inputs)}
        if "outputs" in options:
            tensor = needed("coremltools").TensorType
            self._options["outputs"] = [tensor(name=one) if isinstance(one, str) else one for one in options["outputs"]]
        self._module = copy.deepcopy(module).eval().cpu().float()
        self._examples = self._made_up(inputs, self._options["inputs"])
        parameters = dict(self._module.named_parameters()) if respect_trainable else {}
        trainable = {name: parameter for name, parameter in parameters.items() if parameter.requires_grad}
        matrices = {name.rpartition(".")[0] for name, parameter in trainable.items() if parameter.ndim >= 2}
        self._kept = trainable
        self.weights: Mapping[str, Array] = {
            name: parameter.detach().numpy().copy()
            for name, parameter in trainable.items()
            if parameter.ndim >= 2 or name.rpartition(".")[0] in matrices
        }
        self.others: Sequence[str] = [name for name in trainable if name not in self.weights]
        with converting(), self._torch.no_grad():
            answer = self._module(*self._examples)
        answers = answer if isinstance(answer, (tuple, list)) else (answer,)
        self.shapes: Sequence[tuple[int, ...]] = [tuple(one.shape) for one in answers]

    def convert(self, values: Mapping[str, Array]) -> Model:
        """See ``Source``."""
        torch, module = self._torch, self._module
        with converting(), torch.no_grad():
            for name, array in self.weights.items():
                self._kept[name].copy_(torch.from_numpy(values.get(name, array)))
            traced = module if isinstance(module, torch.jit.ScriptModule) else torch.jit.trace(module, self._examples, check_trace=False)
        model = run(traced, "pytorch", bool(values), self._options)
        with_shapes(model, self.shapes)
        return model

    def _made_up(self, inputs: Inputs, types: Sequence[Any]) -> tuple[Any, ...]:
        torch = self._torch
        given = list(inputs.values()) if isinstance(inputs, Mapping) else [None] * len(types)
        return tuple(
            example if isinstance(example, torch.Tensor) else torch.zeros(tuple(kind.shape.default), dtype=_element(torch, kind))
            for example, kind in zip(given, types, strict=True)
        )


def _element(torch: Any, kind: Any) -> Any:
    """The type of an example's numbers for one of coremltools' types."""
    return torch.int32 if "int" in getattr(getattr(kind, "dtype", None), "__name__", "") else torch.float32
