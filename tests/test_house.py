"""The house's own laws: doors, documentation, sizes, names, imports."""

from __future__ import annotations

import ast
import inspect
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tailor

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "tailor"
FOLDERS = ("tailor", "tests", "examples", "benchmarks")
NAMES_THAT_SAY_NOTHING = {"utils", "util", "helpers", "helper", "common", "manager", "misc", "stuff", "base"}
MOST_LINES = 500


def sources(*folders: str) -> list[Path]:
    """Every Python file that people write, in ``folders``."""
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return [path for path in found if not path.name.endswith("_pb2.py") and "__pycache__" not in path.parts]


def named(path: Path) -> str:
    """A path as tests are called by."""
    return path.relative_to(ROOT).as_posix()


DOORS = [path for path in sources("tailor") if path.name == "__init__.py"]


def is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant) and isinstance(statement.value.value, str)


def is_all(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Assign) and [ast.unparse(target) for target in statement.targets] == ["__all__"]


PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *PACKAGE.rglob("*.md")]


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    targets = [target for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target]
    for target in targets:
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), target
        if anchor:
            heads = re.findall(r"^#+ (.*)$", found.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in [re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads], target


def test_the_readme_leads_to_every_page_of_the_docs() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [page.name for page in (ROOT / "docs").glob("*.md") if f"](docs/{page.name})" not in text] == []


@pytest.mark.parametrize("door", DOORS, ids=named)
def test_a_door_only_reexports(door: Path) -> None:
    statements = ast.parse(door.read_text(encoding="utf-8")).body
    allowed = [row for row in statements if isinstance(row, (ast.Import, ast.ImportFrom)) or is_docstring(row) or is_all(row)]
    assert [ast.unparse(row) for row in statements if row not in allowed] == []
    imported = {alias.asname or alias.name for row in statements if isinstance(row, ast.ImportFrom) for alias in row.names}
    listed = {name for row in statements if is_all(row) for name in ast.literal_eval(row.value)}  # type: ignore[attr-defined]
    if "*" in imported:  # the whole house's door: all that the roof's lists, by its list
        assert (imported, listed) == ({"*", "__all__"}, set())
        return
    assert listed <= imported
    assert imported - listed <= {"annotations"}
    if statements:
        assert is_docstring(statements[0])


def documented() -> Iterator[tuple[str, object]]:
    """Every public name, and the public methods and properties of the classes among them."""
    for name in tailor.__all__:
        thing = getattr(tailor, name)
        if not (inspect.isclass(thing) or inspect.isfunction(thing)):
            continue
        yield name, thing
        for attribute, value in vars(thing).items() if inspect.isclass(thing) else ():
            own = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
            if inspect.isfunction(own) and not attribute.startswith("_"):
                yield f"{name}.{attribute}", own


def test_every_public_name_is_documented() -> None:
    public = dict(documented())
    assert {name.partition(".")[0] for name in public} <= set(tailor.__all__)
    assert len(public) > len(tailor.__all__)
    without = [name for name, thing in public.items() if not inspect.getdoc(thing)]
    assert without == []


def test_public_names_are_listed_in_order_and_once() -> None:
    assert list(tailor.__all__) == sorted(set(tailor.__all__))


@pytest.mark.parametrize("path", sources(*FOLDERS), ids=named)
def test_no_file_is_one_to_scroll_through(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


def test_file_names_say_what_is_inside() -> None:
    saying_nothing = [named(path) for path in sources(*FOLDERS) if {path.stem, *path.relative_to(ROOT).parts} & NAMES_THAT_SAY_NOTHING]
    assert saying_nothing == []


def test_every_pillar_says_what_it_is() -> None:
    rooms = [folder for folder in PACKAGE.iterdir() if (folder / "__init__.py").exists()]
    assert {room.name for room in rooms} >= {"cli", "runtime", "scheduler", "kernels", "persistence"}
    without = [room.name for room in rooms if not list(room.glob("*.md"))]
    assert without == []


def test_nobody_imports_upwards_or_around() -> None:
    lint_imports = Path(sys.executable).with_name("lint-imports")
    command = str(lint_imports) if lint_imports.exists() else shutil.which("lint-imports")
    if command is None:
        pytest.skip("needs import-linter, which the test extra installs")
    checked = subprocess.run([command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "0 broken" in checked.stdout
