"""That what was trained stays what it is: written and read again, trained again by one thread, taken up again from a checkpoint."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ..model import MLModel
from .subject import Subject, same_answers
from .verdict import Check

SAVED, REPEATED, TAKEN_UP = "saved and read again", "repeated", "taken up again"

EXAMPLES = 32
"""Answers that are compared."""


def check_saved(subject: Subject, trained: MLModel) -> Check:
    """The file of the trained model gives the same answers, bit for bit."""
    rows = subject.rows(subject.some(EXAMPLES))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trained.mlmodel"
        trained.write(path)
        again = MLModel.from_spec(MLModel(path).spec, trained.name, trained.configuration, folder=trained.folder)
        same = same_answers(trained.predict(rows), again.predict(rows))
        whole = again.to_bytes() == trained.to_bytes() == path.read_bytes()
    good = same == len(rows) and whole
    what = "equal bytes" if whole else "different bytes"
    return Check.judged(SAVED, good, f"{same} of {len(rows)} answers equal bit for bit, {what}", equal=same, examples=len(rows))


def check_same(name: str, first: MLModel, again: MLModel | None, how: str) -> Check:
    """The same update, trained otherwise, gives the same bytes."""
    if again is None:
        return Check.not_run(name, "the update has no mini-batch after which it could be broken off")
    same = first.content_hash == again.content_hash
    told = f"the same bits {how}" if same else f"{how} {again.content_hash[:12]} instead of {first.content_hash[:12]}"
    return Check.judged(name, same, told, first=first.content_hash, again=again.content_hash)
