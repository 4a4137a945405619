"""``tailor codegen``: modules that import, type-check, answer as the model does, and hold no code of the model's making."""

from __future__ import annotations

import ast
import importlib.util
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tailor import MLFormatError, MLModel
from tailor.cli.classes import class_names, module_source
from tailor.cli.classes.names import attribute_names, class_name
from tailor.runtime.format import (
    Model,
    array_feature,
    dictionary_feature,
    double_feature,
    image_feature,
    int64_feature,
    sequence_feature,
    string_feature,
)
from tests.cli.models import Terminal, drawings, neighbors, regression
from tests.places import SHARED_MODELS

ROOT = Path(__file__).resolve().parents[2]
KINDS = (
    array_feature, dictionary_feature, double_feature, int64_feature, sequence_feature, string_feature,
    lambda name, **more: image_feature(name, 2, 3, **more),
    lambda name, **more: array_feature(name, (2, 3), "int32", **more),
    lambda name, **more: dictionary_feature(name, int, **more),
)  # fmt: skip


def model_of(names: Sequence[str], texts: Sequence[str], updatable: bool = True) -> MLModel:
    """A model with a feature of every kind, of these names, described by these texts."""
    spec = Model(specificationVersion=4, isUpdatable=updatable)
    spec.neuralNetwork.SetInParent()
    features = [kind(name, description=text) for kind, name, text in zip(KINDS, names, texts, strict=True)]
    for part in (spec.description.input, spec.description.output, spec.description.trainingInput):
        part.extend(features)
    spec.description.input[1].type.isOptional = True
    metadata = spec.description.metadata
    metadata.shortDescription, metadata.author, metadata.license, metadata.versionString = texts[:4]
    return MLModel.from_spec(spec)


PLAIN = [f"feature {number}" for number in range(len(KINDS))]
HOSTILE_NAMES = [
    '"); raise SystemExit  #', "'''", '"""', "\\", "a\nb: int = exec('1')", "\u202eelif", "self", "class", "__class__",
]  # fmt: skip
HOSTILE_TEXTS = [
    '"""\nraise SystemExit("""', '"', '\\"""', "\\", "\\N{DIGIT ONE}",
    "{0} {name} {self.__class__} %s", "\u202e\u2066#\r\x0b\u2028x", '""""', "'''\\'''",
]  # fmt: skip


def structure(source: str) -> str:
    """The syntax of a program without its identifiers, strings, and the order of its features."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        for field in ("id", "arg", "attr", "name"):
            if isinstance(getattr(node, field, None), str):
                setattr(node, field, "_")
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = "_"
    return ast.dump(tree)


@pytest.mark.parametrize("updatable", [False, True])
def test_no_name_or_text_of_a_model_becomes_code(updatable: bool) -> None:
    plain, hostile = (
        module_source(Path(file), model_of(names, texts, updatable).description)
        for file, names, texts in (
            ("plain.mlmodel", PLAIN, PLAIN),
            ('"); raise SystemExit("""\n\\.mlmodel', HOSTILE_NAMES, HOSTILE_TEXTS),
        )
    )
    assert structure(hostile) == structure(plain)
    assert "\u202e" not in hostile and "\\\\u{202e}" in hostile


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(TEXT, st.lists(TEXT, min_size=len(KINDS), max_size=len(KINDS), unique=True), st.lists(TEXT, min_size=9, max_size=9))
def test_no_text_at_all_becomes_code(file: str, names: list[str], texts: list[str]) -> None:
    made = module_source(Path(file.replace("/", "") + ".mlmodel"), model_of(names, texts).description)
    assert structure(made) == structure(module_source(Path("plain.mlmodel"), model_of(PLAIN, PLAIN).description))


CLASS_NAMES = {
    "StickerClassifier": "StickerClassifier", "my model-v2": "my_model_v2", "3d": "Model_3d", "": "Model", "🎨": "Model", "__x": "x",
    "Zeichnung_ä": "Zeichnung_ä", "絵": "絵", "Path": "PathModel", "MLModel": "MLModelModel", "class": "classModel", "ﬁle": "file",
}  # fmt: skip


@pytest.mark.parametrize("stem", CLASS_NAMES)
def test_a_class_is_named_by_the_file(stem: str) -> None:
    assert class_name(stem, ("", "Input")) == CLASS_NAMES[stem]


ATTRIBUTES: list[tuple[list[str], list[str]]] = [
    (["image", "label"], ["image", "label"]),
    (["dense/1:0", "1", "__init__", "🎨"], ["dense_1_0", "feature_1", "init__", "feature"]),
    (["class", "None", "self", "float", "Image"], ["class_", "None_", "self_2", "float_2", "Image_2"]),
    (["a b", "a_b", "a-b", "ﬁ", "fi"], ["a_b", "a_b_2", "a_b_3", "fi", "fi_2"]),
    (["XInput", "y"], ["XInput_2", "y"]),
]


@pytest.mark.parametrize(("names", "attributes"), ATTRIBUTES)
def test_an_attribute_is_named_by_the_feature_and_hides_nothing(names: list[str], attributes: list[str]) -> None:
    assert attribute_names(names, ["XInput"]) == dict(zip(names, attributes, strict=True))


def test_the_generated_modules_type_check_under_strict_settings(tmp_path: Path) -> None:
    if importlib.util.find_spec("mypy") is None:
        pytest.skip("needs mypy, which the test extra installs")
    described = {
        "every kind": model_of(PLAIN, PLAIN).description,
        "hostile": model_of(HOSTILE_NAMES, HOSTILE_TEXTS).description,
        "nothing": model_of(PLAIN, PLAIN, False).description,
        "neighbours": MLModel(neighbors(tmp_path / "n.mlmodel")).description,
    }
    real = [*SHARED_MODELS.glob("*.mlmodel"), *SHARED_MODELS.glob("*.mlpackage")]
    described |= {path.name: MLModel(path).description for path in real if not path.name.startswith("Corrupt")}
    for number, (name, description) in enumerate(described.items()):
        (tmp_path / f"made_{number}.py").write_text(module_source(Path(f"{name}.mlmodel"), description), encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", str(ROOT / "pyproject.toml"), "--follow-imports=silent"]
    checked = subprocess.run([*command, *map(str, sorted(tmp_path.glob("*.py")))], cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.stdout == f"Success: no issues found in {len(described)} source files\n", checked.stdout + checked.stderr


def imported(path: Path, source: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module of this source, as if it stood at ``path``."""
    module = ModuleType(path.stem)
    module.__file__ = str(path)
    monkeypatch.setitem(sys.modules, path.stem, module)
    exec(compile(source, path, "exec"), module.__dict__)
    return module


@pytest.fixture
def made(tailor: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module for a pipeline of 2x2 grey images, beside its model."""
    path = tmp_path / "drawing_classes.py"
    assert tailor("codegen", drawings(tmp_path / "Drawings.mlmodel"), "-o", path) == 0, tailor.err
    assert tailor.out == f"{path}: Drawings, DrawingsInput, DrawingsOutput, DrawingsTrainingInput\n"
    return imported(path, path.read_text(encoding="utf-8"), monkeypatch)


BRIGHT, DARK = Image.new("L", (2, 2), 250), np.zeros((2, 2), np.uint8)


@pytest.mark.anyio
async def test_a_generated_class_predicts_and_learns(made: Any) -> None:
    model = made.Drawings()
    assert model.predict(BRIGHT).label == "nobody"
    context = await model.update([made.DrawingsTrainingInput(BRIGHT, "bright"), made.DrawingsTrainingInput(drawing=DARK, label="dark")])
    taught = made.Drawings(context.model)
    assert [answer.label for answer in taught.predictions([made.DrawingsInput(DARK), made.DrawingsInput(BRIGHT)])] == ["dark", "bright"]
    answer = await taught.prediction(DARK)
    assert (answer.label, answer.labelProbs) == ("dark", {"dark": 1.0, "bright": 0.0})
    assert model.predict(DARK).label == "nobody"


def test_a_generated_class_refuses_another_model(made: Any, tmp_path: Path) -> None:
    with pytest.raises(MLFormatError, match=r"r\.mlmodel: expected the outputs of Drawings, got y"):
        made.Drawings(regression(tmp_path / "r.mlmodel"))


def test_what_may_be_left_out_is_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    module = imported(Path("made.py"), module_source(Path("x.mlmodel"), model_of(PLAIN, PLAIN).description), monkeypatch)
    given = module.xInput(*range(8)).features()
    assert "feature 1" not in given and given["feature 8"] == 7
    assert module.xInput(*range(8), {"a": 1.0}).features()["feature 1"] == {"a": 1.0}


def test_the_module_is_printed_without_an_output(tailor: Terminal, tmp_path: Path) -> None:
    path = regression(tmp_path / "r.mlmodel")
    expected = module_source(path, MLModel(path).description)
    assert tailor("codegen", path) == 0
    assert tailor.out == expected
    assert tailor("codegen", path, "--json") == 0
    assert json.loads(tailor.out) == {"classes": ["r", "rInput", "rOutput", "rTrainingInput"], "source": expected}
    assert tailor("codegen", path, "--json", "-o", tmp_path / "r.py") == 0
    assert json.loads(tailor.out)["output"] == str(tmp_path / "r.py")
    assert (tmp_path / "r.py").read_text(encoding="utf-8") == expected


def test_only_what_can_be_updated_has_training_inputs() -> None:
    description = model_of(PLAIN, PLAIN, updatable=False).description
    assert class_names(Path("x.mlmodel"), description) == ["x", "xInput", "xOutput"]
    assert "MLUpdateTask" not in module_source(Path("x.mlmodel"), description)
