"""The demo, shortened: its own checks are what is asserted."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import anyio
import pytest

PROGRAM = Path(__file__).resolve().parents[1] / "examples" / "demo.py"


@pytest.fixture
def demo() -> Iterator[ModuleType]:
    """``examples/demo.py`` as a module."""
    pytest.importorskip("sklearn", reason="needs scikit-learn's digits, which the demo extra installs")
    found = importlib.util.spec_from_file_location("tailor_demo", PROGRAM)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[found.name] = module
    found.loader.exec_module(module)
    yield module
    del sys.modules[found.name]


def test_the_demo_passes_its_own_checks(demo: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert anyio.run(demo.demo, tmp_path, 8)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Drawing.mlmodel", "Mine.mlmodel", "Mine.snapshot", "drawings", "others"]
    assert [len(list((tmp_path / "others" / digit).glob("*.png"))) for digit in "789"] == [5, 5, 5]
    assert (tmp_path / "Mine.snapshot").stat().st_size < (tmp_path / "Mine.mlmodel").stat().st_size / 5
    assert "after" in capsys.readouterr().out


def test_a_check_that_fails_fails_the_program(demo: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "demo", lambda output: _no())
    monkeypatch.setattr(sys, "argv", ["demo.py", "--output", str(tmp_path / "new")])
    assert demo.main() == 1


async def _no() -> bool:
    return False
