"""What the commands print: tables for people that fit 80 columns, JSON for programs."""

from __future__ import annotations

import base64
import io
import json
import math
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table
from rich.text import Text


def results() -> Console:
    """Where results go: stdout."""
    return Console(file=sys.stdout, highlight=False, soft_wrap=not sys.stdout.isatty())


def progress() -> Console:
    """Where progress and remarks go: stderr."""
    return Console(file=sys.stderr, highlight=False)


def print_json(value: object, indent: int | None = 2) -> None:
    """Prints ``value`` as JSON on stdout."""
    print(to_json(value, indent))


def to_json(value: object, indent: int | None = None) -> str:
    """``value`` as JSON text, in ASCII."""
    return json.dumps(plain(value), indent=indent, allow_nan=False)


def plain(value: Any) -> Any:
    """A value as JSON has it: arrays as nested lists, images as PNG in base64, NaN and infinity as null."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (np.ndarray, np.generic)):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Image.Image):
        return {"mode": value.mode, "width": value.width, "height": value.height, **_encoded(value)}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def table(title: str, *columns: str) -> Table:
    """An empty table whose cells wrap; it has no header where all columns are unnamed."""
    made = Table(title=title, title_justify="left", title_style="bold", header_style="dim", box=None, pad_edge=False)
    made.show_header = any(columns)
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def add_rows(to: Table, rows: Iterable[Iterable[object]]) -> Table:
    """The table with rows of plain text added; nothing in them is taken for markup."""
    for row in rows:
        to.add_row(*(Text(str(cell)) for cell in row))
    return to


def file_size(count: int) -> str:
    """A number of bytes for people: ``382 kB``."""
    size = float(count)
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" or size >= 10 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def _encoded(image: Image.Image) -> dict[str, Any]:
    """The pixels: PNG where it can hold them, else as numbers."""
    if image.mode == "F":
        return {"pixels": plain(np.asarray(image))}
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return {"png": base64.b64encode(buffer.getvalue()).decode()}
