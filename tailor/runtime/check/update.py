"""Whether an update of a model can be trusted: every check there is for its type, one after the other."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

from anyio import to_thread

from ..configuration import MLModelConfiguration
from ..errors import MLFeatureError, MLModelError, MLUpdateError
from ..model import MLModel
from ..update import MLUpdateTask
from ..values import MLBatchProvider
from .course import repeated, taken, taken_up
from .gradients import NAME as GRADIENTS
from .gradients import check_gradients
from .lesson import Lesson
from .losses import NAME as LOSS
from .losses import check_losses
from .mirror import NAME as MIRROR
from .mirror import check_mirror
from .repeats import REPEATED, SAVED, TAKEN_UP, check_same, check_saved
from .subject import Subject
from .verdict import Check
from .votes import KEPT, VOTES, check_kept, check_votes

MINI_BATCHES = 10
SAMPLES = 8


async def check_update(
    model: MLModel | str | os.PathLike[str] | bytes,
    training_data: MLBatchProvider,
    configuration: MLModelConfiguration | None = None,
    *,
    mini_batches: int = MINI_BATCHES,
    samples: int = SAMPLES,
    seed: int = 0,
) -> list[Check]:
    """Checks an update of ``model`` with ``training_data`` against independent sources; the model stays as it is.

    Of a network, ``mini_batches`` are trained without shuffling. ``gradients``: those that training uses, ``samples`` numbers of
    each parameter (some chosen by ``seed``), against central differences in float64. ``loss``: what is told, against the loss of
    what the models of those moments answer. ``PyTorch``: the same training there, if it is installed and has the layers. Of
    nearest neighbours, ``examples kept`` and ``votes``: what was taught, and the answers, against all distances in float64. Of both,
    ``saved and read again`` and ``repeated`` (by one thread): the same bits; of a network also ``taken up again`` (from a checkpoint).

    Raises ``MLUpdateError`` where the model cannot be updated, and what its update raises where the data does not fit.
    """
    for name, number, least in (("mini_batches", mini_batches, 1), ("samples", samples, 1), ("seed", seed, 0)):
        if isinstance(number, bool) or not isinstance(number, int) or number < least:
            raise MLUpdateError(f"{name}: expected a whole number of at least {least}, got {number!r}")
    if not isinstance(model, MLModel):
        model = MLModel(model, configuration)
    elif configuration is not None:
        model = MLModel.from_spec(model.spec, model.name, configuration, folder=model.folder)
    MLUpdateTask(model, training_data).cancel()  # whatever cannot be updated is refused here
    subject = Subject(model, training_data)
    if subject.learner.model_type == "kNearestNeighborsClassifier":
        return await _of_neighbors(subject)
    return await _of_network(subject, mini_batches, samples, seed)


async def _of_network(subject: Subject, mini_batches: int, samples: int, seed: int) -> list[Check]:
    course, again = await taken(subject, mini_batches), await repeated(subject, mini_batches)
    resumed = await taken_up(subject, len(course.rows))
    trained, lesson = course.models[-1], Lesson.of(subject)

    if lesson is None:
        made = [Check.not_run(name, "the model has several losses, or a weighted one") for name in (GRADIENTS, LOSS, MIRROR)]
    else:
        made = [
            await _run(GRADIENTS, lambda: check_gradients(subject, lesson, samples, seed)),
            await _run(LOSS, lambda: check_losses(subject, lesson, course)),
            await _run(MIRROR, lambda: check_mirror(subject, lesson, course)),
        ]
    return [
        *made,
        await _run(SAVED, lambda: check_saved(subject, trained)),
        check_same(REPEATED, trained, again, "by one thread"),
        check_same(TAKEN_UP, trained, resumed, "from a checkpoint"),
    ]


async def _of_neighbors(subject: Subject) -> list[Check]:
    trained, again = [
        (await MLUpdateTask(subject.model, subject.data, replace(subject.configuration, threads=threads))).model
        for threads in (subject.configuration.threads, 1)
    ]

    return [
        await _run(KEPT, lambda: check_kept(subject, trained)),
        await _run(VOTES, lambda: check_votes(subject, trained)),
        await _run(SAVED, lambda: check_saved(subject, trained)),
        check_same(REPEATED, trained, again, "by one thread"),
    ]


async def _run(name: str, check: Callable[[], Check]) -> Check:
    """The check, in a worker; one that raises has failed, and says what was raised, unless it is about the examples."""
    try:
        return await to_thread.run_sync(check)
    except MLFeatureError:
        raise
    except MLModelError as error:
        return Check(name, "failed", str(error))
