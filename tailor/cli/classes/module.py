"""The source of a module with the classes for one model, as its description says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from tailor import MLModelDescription

from .fields import Field, fields_of
from .names import class_name, docstring, literal

_ENDINGS = ("", "Input", "Output", "TrainingInput")

_IMPORTS = """\
from __future__ import annotations

import os
from collections.abc import {collections}
from dataclasses import dataclass
from pathlib import Path
from typing import Any

{third}from tailor import {tailor}

__all__ = [{exported}]
"""

_GIVEN = '''\
    def features(self) -> dict[str, object]:
        """The features by the names that the model knows them by."""
        return {{{pairs}}}
'''

_GIVEN_WHERE_THERE = '''\
    def features(self) -> dict[str, object]:
        """The features by the names that the model knows them by, without those left out."""
        given: dict[str, object] = {{{pairs}}}
        return {{name: value for name, value in given.items() if value is not None}}
'''

_MADE = '''\
    @classmethod
    def from_features(cls, features: Mapping[str, Any]) -> {name}Output:
        """From the features by the names that the model knows them by."""
        return cls({values})
'''

_MODEL = '''\
    default_path = Path(__file__).with_name({file})

    def __init__(
        self,
        source: MLModel | str | os.PathLike[str] | bytes | None = None,
        configuration: MLModelConfiguration | None = None,
    ) -> None:
        if not isinstance(source, MLModel):
            self.model = MLModel(self.default_path if source is None else source, configuration)
        elif configuration is None:
            self.model = source
        else:
            self.model = MLModel.from_spec(source.spec, source.name, configuration, folder=source.folder)
        outputs = self.model.description.output_descriptions_by_name
        if not all(name in outputs for name in [{outputs}]):
            raise MLFormatError(f"{{self.model.name}}: expected the outputs of {name}, got {{', '.join(outputs) or 'none'}}")

    def predict({parameters}) -> {name}Output:
        """The answer for one example. Raises ``MLFeatureError``, naming the input that does not fit."""
        features = {name}Input({arguments}).features()
        return {name}Output.from_features(self.model.predict(features))

    async def prediction({parameters}) -> {name}Output:
        """``predict``, in a worker thread, off the event loop."""
        features = {name}Input({arguments}).features()
        return {name}Output.from_features(await self.model.prediction(features))

    def predictions(self, inputs: Iterable[{name}Input]) -> list[{name}Output]:
        """The answers for many examples, computed together."""
        answers = self.model.predict([example.features() for example in inputs])
        return [{name}Output.from_features(answer) for answer in answers]
'''

_UPDATE = '''
    def update(
        self,
        examples: Iterable[{name}TrainingInput],
        configuration: MLModelConfiguration | None = None,
        *,
        progress_handlers: MLUpdateProgressHandlers | None = None,
        runtime: Runtime | None = None,
    ) -> MLUpdateTask:
        """A task that trains the model on ``examples``: after ``context = await model.update(examples)``,
        ``{name}(context.model)`` is the updated model. This one stays as it is.
        """
        data = MLArrayBatchProvider([example.features() for example in examples])
        return MLUpdateTask(self.model, data, configuration, progress_handlers=progress_handlers, runtime=runtime)
'''

_ALWAYS = ("MLFormatError", "MLModel", "MLModelConfiguration")
_UPDATED = ("MLArrayBatchProvider", "MLUpdateProgressHandlers", "MLUpdateTask", "Runtime")


def class_names(path: Path, description: MLModelDescription) -> list[str]:
    """The classes that ``module_source`` defines: the model's own, its input, its output, and its training input if it is updatable."""
    name = class_name(path.stem, _ENDINGS)
    return [name + ending for ending in (_ENDINGS if description.is_updatable else _ENDINGS[:3])]


def module_source(path: Path, description: MLModelDescription) -> str:
    """A module with typed classes for the model that the file or folder ``path`` holds.

    It imports with tailor alone and is clean under ``mypy --strict``. The names and texts of the model cannot become code in it.
    """
    names = class_names(path, description)
    name = names[0]
    inputs = fields_of(description.input_descriptions_by_name.values(), names)
    outputs = fields_of(description.output_descriptions_by_name.values(), names)
    taught = fields_of(description.training_input_descriptions_by_name.values(), names) if description.is_updatable else []
    annotations = [field.takes for field in (*inputs, *taught)] + [field.gives for field in outputs]
    parts = [
        docstring(f"Classes for the model {path.name!r}, written by ``tailor codegen``: write them anew where the model changes.", "")
        + "\n"
        + _imports(annotations, names, description.is_updatable),
        _given(f"{name}Input", f"What {name} predicts from.", inputs),
        _answer(name, outputs),
    ]
    if description.is_updatable:
        parts.append(_given(f"{name}TrainingInput", f"What {name} learns from: one example.", taught))
    parts.append(_model(name, path.name, description, inputs, outputs))
    return "\n\n".join(parts)


def _imports(annotations: Sequence[str], names: Sequence[str], updatable: bool) -> str:
    used = " ".join(annotations)
    known = [*_ALWAYS, *(_UPDATED if updatable else ())]
    third = "import numpy as np\n" if "np." in used else ""
    typing = ", ".join(word for word in ("ArrayLike", "NDArray") if word in used)
    third += f"from numpy.typing import {typing}\n" if typing else ""
    third += "from PIL import Image\n" if "Image." in used else ""
    collections = ["Iterable", "Mapping", *(["Sequence"] if "Sequence" in used else [])]
    return _IMPORTS.format(
        collections=", ".join(collections),
        third=f"{third}\n" if third else "",
        tailor=f"({_rows(sorted(known), 0)})" if updatable else ", ".join(known),
        exported=_rows(map(literal, names), 0),
    )


def _given(name: str, about: str, fields: Sequence[Field]) -> str:
    """A class of inputs."""
    template = _GIVEN_WHERE_THERE if any(field.optional for field in fields) else _GIVEN
    pairs = _rows((f"{literal(field.name)}: self.{field.attribute}" for field in fields), 8)
    declared = "".join(f"    {_parameter(field)}\n" for field in fields)
    return _class(name, about, fields, declared) + template.format(pairs=pairs)


def _answer(name: str, fields: Sequence[Field]) -> str:
    """The class of outputs."""
    declared = "".join(f"    {field.attribute}: {field.gives}\n" for field in fields)
    values = _rows((f"features[{literal(field.name)}]" for field in fields), 8)
    return _class(f"{name}Output", f"What {name} answers.", fields, declared) + _MADE.format(name=name, values=values)


def _class(name: str, about: str, fields: Sequence[Field], declared: str) -> str:
    text = docstring("\n".join([about, "", *(field.text for field in fields)]), "    ")
    return f"@dataclass(frozen=True, slots=True, eq=False)\nclass {name}:\n{text}\n{declared}" + ("\n" if declared else "")


def _model(name: str, file: str, description: MLModelDescription, inputs: Sequence[Field], outputs: Sequence[Field]) -> str:
    metadata = description.metadata
    metadata_rows = (("Author", metadata.author), ("License", metadata.license), ("Version", metadata.version))
    told = [f"{what}: {text}" for what, text in metadata_rows if text]
    text = [metadata.short_description or f"The model {file!r}.", ""]
    text += [*told, ""] if told else []
    text.append("``source``: a file, bytes, or a loaded model; by default the file of that name beside this module.")
    body = _MODEL.format(
        name=name,
        file=literal(file),
        outputs=_rows((literal(field.name) for field in outputs), 8),
        parameters=_rows(["self", *(_parameter(field) for field in inputs)], 4),
        arguments=_rows((field.attribute for field in inputs), 8),
    )
    if description.is_updatable:
        body += _UPDATE.format(name=name)
    return f"class {name}:\n{docstring(chr(10).join(text), '    ')}\n{body}"


def _parameter(field: Field) -> str:
    return f"{field.attribute}: {field.takes} | None = None" if field.optional else f"{field.attribute}: {field.takes}"


def _rows(items: Iterable[str], indent: int) -> str:
    """``items`` as what stands in brackets on a line indented by ``indent``: few on that line, many a line each."""
    listed = list(items)
    joined = ", ".join(listed)
    if len(joined) <= 60:
        return joined
    inner = " " * (indent + 4)
    return "\n" + "".join(f"{inner}{item},\n" for item in listed) + " " * indent
