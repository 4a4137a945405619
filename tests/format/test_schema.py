"""The schema is the format's: every message, field and enum as the facts list them, and nothing else."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

import tailor.runtime.format.schema as schema
from tailor.runtime.format.floats import FLOAT_FIELDS
from tests.places import SHARED_MODELS

SCHEMA = Path(next(iter(schema.__path__)))
ROOT = SCHEMA.parents[3]
MODULES = {path.stem: importlib.import_module(f"{schema.__name__}.{path.stem}") for path in sorted(SCHEMA.glob("*_pb2.py"))}
PACKAGE = "tailor.coreml."
SCALARS = {
    FieldDescriptor.TYPE_FLOAT: "float",
    FieldDescriptor.TYPE_DOUBLE: "double",
    FieldDescriptor.TYPE_BOOL: "bool",
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_BYTES: "bytes",
    FieldDescriptor.TYPE_INT32: "int32",
    FieldDescriptor.TYPE_INT64: "int64",
    FieldDescriptor.TYPE_UINT32: "uint32",
    FieldDescriptor.TYPE_UINT64: "uint64",
}
FLOAT_NAMES = {4: "float", 8: "double"}


@pytest.fixture(scope="module")
def facts() -> dict[str, Any]:
    path = SHARED_MODELS.parent / "facts" / "coreml_spec_fields.json"
    if not path.exists():
        pytest.skip("needs ../shared/facts/coreml_spec_fields.json, which is absent")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def short(name: str) -> str:
    assert name.startswith(PACKAGE)
    return name.removeprefix(PACKAGE)


def messages() -> Iterator[Descriptor]:
    def inside(message: Descriptor) -> Iterator[Descriptor]:
        yield message
        for nested in message.nested_types:
            if not nested.GetOptions().map_entry:
                yield from inside(nested)

    for module in MODULES.values():
        for message in module.DESCRIPTOR.message_types_by_name.values():
            yield from inside(message)


def enums() -> Iterator[EnumDescriptor]:
    for module in MODULES.values():
        yield from module.DESCRIPTOR.enum_types_by_name.values()
    for message in messages():
        yield from message.enum_types


def plain_type(field: FieldDescriptor) -> str:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        key, value = (plain_type(field.message_type.fields_by_name[part]) for part in ("key", "value"))
        return f"map<{key}, {value}>"
    if field.message_type is not None:
        return short(field.message_type.full_name)
    if field.enum_type is not None:
        return short(field.enum_type.full_name)
    return SCALARS[field.type]


def as_fact(message: Descriptor, field: FieldDescriptor, repeated: bool) -> dict[str, Any]:
    """A field as the facts write it; what our schema declares ``repeated bytes`` is the list of floats that it stands for."""
    fact: dict[str, Any] = {"name": field.name, "number": field.number, "type": plain_type(field)}
    if repeated and not fact["type"].startswith("map<"):
        fact["repeated"] = True
        if fact["type"] == "bytes":
            fact["type"] = FLOAT_NAMES[FLOAT_FIELDS[f"{short(message.full_name)}.{field.name}"].itemsize]
    if field.containing_oneof is not None:
        fact["oneof"] = field.containing_oneof.name
    return fact


def fields_as_facts(message: Descriptor) -> list[dict[str, Any]]:
    plain = FileDescriptorProto()
    message.file.CopyToProto(plain)
    declared: Any = plain
    for name in message.full_name.removeprefix(f"{plain.package}.").split("."):
        kinds = declared.message_type if declared is plain else declared.nested_type
        declared = next(kind for kind in kinds if kind.name == name)
    repeated = {field.name: field.label == field.LABEL_REPEATED for field in declared.field}
    return [as_fact(message, field, repeated[field.name]) for field in message.fields]


def by_number(fields: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(fields, key=lambda field: field["number"])


def test_every_message_and_field_is_the_formats(facts: dict[str, Any]) -> None:
    ours = {short(message.full_name): by_number(fields_as_facts(message)) for message in messages()}
    assert len(ours) == 339
    assert ours == {name: by_number(fields) for name, fields in facts["messages"].items()}


def test_every_enum_value_is_the_formats(facts: dict[str, Any]) -> None:
    ours = {short(enum.full_name): {value.name: value.number for value in enum.values} for enum in enums()}
    assert len(ours) == 34
    assert ours == facts["enums"]


def test_the_table_of_float_lists_is_complete(facts: dict[str, Any]) -> None:
    lists = {
        f"{name}.{field['name']}": field["type"]
        for name, fields in facts["messages"].items()
        for field in fields
        if field.get("repeated") and field["type"] in FLOAT_NAMES.values()
    }
    assert {name: FLOAT_NAMES[dtype.itemsize] for name, dtype in FLOAT_FIELDS.items()} == lists


def test_the_sources_the_code_and_the_stubs_belong_together(tmp_path: Path) -> None:
    sources = {path.stem for path in SCHEMA.glob("*.proto")}
    assert sources == {name.removesuffix("_pb2") for name in MODULES} == {path.stem.removesuffix("_pb2") for path in SCHEMA.glob("*.pyi")}
    if find_spec("grpc_tools") is None:
        pytest.skip("needs grpcio-tools to compile the .proto files")
    compiled = tmp_path / "compiled"
    files = [path.relative_to(ROOT).as_posix() for path in sorted(SCHEMA.glob("*.proto"))]
    command = [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={ROOT}", f"--descriptor_set_out={compiled}", *files]
    subprocess.run(command, check=True, capture_output=True)
    for file in FileDescriptorSet.FromString(compiled.read_bytes()).file:
        ours = FileDescriptorProto()
        MODULES[f"{Path(file.name).stem}_pb2"].DESCRIPTOR.CopyToProto(ours)
        assert without_json_names(ours) == without_json_names(file), f"{file.name} and its generated code differ: run generate.py"


def without_json_names(file: FileDescriptorProto) -> FileDescriptorProto:
    """A copy without what only some protobuf versions fill in."""
    plain = FileDescriptorProto()
    plain.CopyFrom(file)
    remaining = list(plain.message_type)
    while remaining:
        message = remaining.pop()
        remaining.extend(message.nested_type)
        for field in message.field:
            field.ClearField("json_name")
    return plain


IMPORTS = ("import coremltools", "from tailor.runtime.format import load_model")
USES = """
import coremltools
from tailor.runtime.format import Model, array_feature
model = Model(specificationVersion=1, isUpdatable=True)
theirs = coremltools.proto.Model_pb2.Model.FromString(model.SerializeToString())
assert (theirs.specificationVersion, theirs.isUpdatable) == (1, True)
assert type(theirs) is not type(model)
"""


@pytest.mark.parametrize("order", [IMPORTS, IMPORTS[::-1]])
def test_coremltools_can_be_imported_in_the_same_process(order: tuple[str, str]) -> None:
    if find_spec("coremltools") is None:
        pytest.skip("needs coremltools")
    run("\n".join((*order, USES)))


def test_importing_warns_of_nothing_in_either_implementation_of_protobuf() -> None:
    for implementation in ("upb", "python"):
        run("import tailor.runtime.format", "-W", "error", PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION=implementation)


def run(program: str, *options: str, **environment: str) -> None:
    done = subprocess.run(
        [sys.executable, *options, "-c", program],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
