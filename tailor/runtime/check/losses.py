"""The losses that an update tells, against those of plain predictions by the models of each moment."""

from __future__ import annotations

from typing import Any

from ..format import array_feature, every_layer, layers, weight_message, weight_storage
from ..model import MLModel
from ..models import Columns, build_predictor
from .course import Course
from .lesson import Lesson
from .subject import Subject, learned, part_that_learns
from .verdict import Check

NAME = "loss"

TOLERANCE = 1e-4
"""Of the loss, or of 0.1 where it is smaller: a share near 1 has few digits left in float32."""


def check_losses(subject: Subject, lesson: Lesson, course: Course) -> Check:
    """Each mini-batch's loss is the mean over its examples of what the model before it answers; NumPy, float64.

    Of numbers that are stored as float16 a model has them rounded, as training has not: only the first mini-batch is looked at.
    """
    worst, where = 0.0, ""
    compared = course.rows[:1] if _rounded(subject, lesson) else course.rows
    for number, (told, rows, model) in enumerate(zip(course.losses, compared, course.models, strict=False)):
        columns = subject.columns(rows)
        expected = float(lesson.losses(_answers(subject, lesson, model, rows, columns), lesson.targets(columns)).mean())
        error = abs(told - expected) / max(abs(expected), 0.1)
        if error > worst or not where:
            worst, where = error, f"mini-batch {number}: told {told:.6g}, recomputed {expected:.6g}"
    return Check.judged(
        NAME,
        worst <= TOLERANCE,
        f"of {len(compared)} mini-batches, told and made of the model's answers, apart by at most {worst:.0e}; {where}",
        miniBatches=len(compared),
        worst=worst,
        tolerance=TOLERANCE,
    )


def _rounded(subject: Subject, lesson: Lesson) -> bool:
    """Whether any of the numbers that learn is stored as float16."""
    records = {record.name: record for record in every_layer(layers(lesson.network))}
    with subject.taught() as learner:
        places = [key.rpartition(".") for key in learned(learner)]
    return any(weight_storage(weight_message(records[layer].params, field)) == "float16Value" for layer, _, field in places)


def _answers(subject: Subject, lesson: Lesson, model: MLModel, rows: range, columns: Columns) -> list[Any]:
    """What the model answers for the loss's value; where it keeps that to itself, one that puts it out."""
    output = lesson.told_by(subject.model)
    if output is not None:
        return [lesson.told(answer[output]) for answer in model.predict(subject.rows(rows))]
    spec = type(model.spec)()
    spec.CopyFrom(part_that_learns(model).spec)
    spec.description.output.append(array_feature(lesson.value))
    return list(build_predictor(spec, {}, f"model {model.name!r}").predict(columns, len(rows))[lesson.value])
