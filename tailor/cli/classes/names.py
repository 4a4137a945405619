"""Names and texts of a model as parts of a Python program. They may hold anything, and none of it may become code.

What a text may become is an identifier, made of nothing but letters, digits and underscores; a string literal, by ``literal``;
or a docstring, by ``docstring``.
"""

from __future__ import annotations

import keyword
import textwrap
import unicodedata
from collections.abc import Collection, Iterable

WIDTH = 110

# What the classes use: a name of a model must not hide it.
USED = frozenset(
    (
        "Any", "ArrayLike", "Image", "Iterable", "MLArrayBatchProvider", "MLFormatError", "MLModel", "MLModelConfiguration",
        "MLUpdateProgressHandlers", "MLUpdateTask", "Mapping", "NDArray", "Path", "Runtime", "Sequence", "bytes", "classmethod", "cls",
        "dataclass", "dict", "features", "float", "from_features", "int", "isinstance", "list", "np", "object", "os", "self", "str",
    )
)  # fmt: skip


def class_name(stem: str, endings: Iterable[str]) -> str:
    """The name of the class for a model file called ``stem``; with each of ``endings``, too, it hides nothing."""
    name = _identifier(stem, "Model")
    while any(name + ending in USED or keyword.iskeyword(name + ending) for ending in endings):
        name += "Model"
    return name


def attribute_names(names: Iterable[str], taken: Collection[str]) -> dict[str, str]:
    """An attribute for each of ``names``, different from one another and from ``taken``."""
    attributes: dict[str, str] = {}
    used = {*USED, *taken}
    for name in names:
        wanted = _identifier(name, "feature")
        wanted += "_" * keyword.iskeyword(wanted)
        made, number = wanted, 2
        while made in used:
            made, number = f"{wanted}_{number}", number + 1
        used.add(made)
        attributes[name] = made
    return attributes


def literal(text: str) -> str:
    """``text`` as a string literal, in double quotes where it can."""
    made = repr(text)
    return made if '"' in made else f'"{made[1:-1]}"'


def docstring(text: str, indent: str) -> str:
    """``text`` as the lines of a docstring, indented, ending in a line break; paragraphs are kept, long lines wrapped."""
    shown = "".join(_shown(character) for character in text)
    wrapped = [
        line
        for paragraph in shown.split("\n")
        for line in textwrap.wrap(
            paragraph,
            WIDTH,
            subsequent_indent="    " if paragraph.startswith("``") else "",
            break_long_words=False,
            break_on_hyphens=False,
        )
        or [""]
    ]
    while wrapped and not wrapped[-1]:
        wrapped.pop()
    escaped = "\n".join(indent + line if line else "" for line in wrapped).lstrip().replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    end = f"\n{indent}" if "\n" in escaped or escaped.endswith('"') else ""
    return f'{indent}"""{escaped}{end}"""\n'


def _identifier(text: str, instead: str) -> str:
    """``text`` as a public identifier, in the form in which Python compares them; ``instead`` stands where nothing can."""
    letters = unicodedata.normalize("NFKC", text)
    kept = "".join(letter if ("a" + letter).isidentifier() else "_" for letter in letters).lstrip("_")
    if not kept.isidentifier():
        kept = f"{instead}_{kept}" if kept else instead
    return unicodedata.normalize("NFKC", kept)


def _shown(character: str) -> str:
    """A character as people may see it: those that are invisible, or turn the direction of writing, by their numbers."""
    if character in "\n\r\t\v\f\u2028\u2029\x85":
        return "\n" if character == "\n" else " "
    return character if character.isprintable() else f"\\u{{{ord(character):04x}}}"
