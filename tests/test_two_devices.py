"""The example of two devices, as a user runs it: in processes of their own. Its own checks are what is asserted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_both_devices_end_with_all_that_was_learned(tmp_path: Path) -> None:
    found = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, str(ROOT / "examples" / "two_devices.py"), "--output", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": found})
    assert done.returncode == 0, done.stdout + done.stderr
    told, _, checks = done.stdout.partition("Checks\n")
    assert [line.split()[0] for line in checks.splitlines()] == ["yes"] * 6
    assert "device B: UpdatableDrawingClassifier merged" in told and "device A: UpdatableDrawingClassifier pulled" in told
    assert sorted(path.name for path in tmp_path.iterdir()) == ["A", "B", "between"]
