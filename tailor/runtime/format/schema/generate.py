"""Makes the Python code and the typing stubs of the schema from the ``.proto`` files beside this one.

Run ``python tailor/runtime/format/schema/generate.py`` in an environment of its own with the ``schema`` extra's packages:
their old ``protoc`` writes code that protobuf 4.25 and everything newer can run. ``../README.md`` has the commands.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[3]


def generate(output: Path) -> int:
    """Writes ``*_pb2.py`` and ``*_pb2.pyi`` below ``output`` (the repository's root, or a copy's); returns protoc's exit status."""
    protoc = import_module("grpc_tools.protoc")
    sources = sorted(path.relative_to(ROOT).as_posix() for path in HERE.glob("*.proto"))
    # protoc looks for its plugin mypy-protobuf on the path; it lies beside this interpreter.
    os.environ["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    options = [f"--proto_path={ROOT}", f"--python_out={output}", f"--mypy_out=readable_stubs,quiet:{output}"]
    status: int = protoc.main(["protoc", *options, *sources])
    return status


if __name__ == "__main__":
    sys.exit(generate(ROOT))
