"""A merged model on examples that nobody learned from: is it worse than the best of those it was made of?"""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import MLModelError, MLStoreError
from ..model import MLModel
from ..models import build_learner
from ..network import at_most
from ..update import MLGuardScores, MLUpdateGuard, MLUpdateVerdict
from ..update.examples import Examples
from ..update.guard import decide
from ..update.judging import Judging
from ..update.training import PORTION

SET = "reference"


def judged(guard: MLUpdateGuard, sides: Sequence[MLModel], merged: MLModel, who: str) -> MLUpdateVerdict:
    """The verdict on ``merged``: accepted where it is not worse than the best of ``sides``, on the guard's reference set.

    ``before`` in its scores is what the best side scores; nothing was trained. Raises ``MLStoreError`` where the guard has no
    reference set, or its examples cannot be judged by.
    """
    if not isinstance(guard, MLUpdateGuard) or guard.reference is None:
        raise MLStoreError(f"{who}: guard: expected an MLUpdateGuard with a reference set to judge by, got none")
    alone = MLUpdateGuard(None, guard.reference, guard.metric, guard.margin, guard.seed, guard.diverged_above)
    try:
        scores = _scores(alone, [*sides, merged])
    except MLModelError as error:
        raise MLStoreError(f"{who}: {error}") from error
    metric, last = scores[-1].metric, scores[-1].sets[SET]
    best = max if metric == "accuracy" else min
    before = best((verdict.sets[SET].after for verdict in scores[:-1]), key=lambda score: score[metric])
    return decide({SET: MLGuardScores(last.count, before, last.after)}, metric, guard.margin, guard.seed, 0)


def _scores(guard: MLUpdateGuard, models: Sequence[MLModel]) -> list[MLUpdateVerdict]:
    """What each model scores, as the guard of an update would have it."""
    assert guard.reference is not None
    first = models[0]
    configuration = first.configuration
    learner = build_learner(first._outline, f"model {first.name!r}", configuration.trainable, configuration.training)
    examples = Examples(first, guard.reference, learner)
    try:
        judging = Judging(guard, first, examples, learner, PORTION)
        verdicts: list[MLUpdateVerdict] = []
        with at_most(configuration.threads):
            for _ in judging.before():
                pass
            for model in models:
                for _ in judging.after(model):
                    pass
                assert judging.verdict is not None
                verdicts.append(judging.verdict)
        return verdicts
    finally:
        learner.close()
        examples.close()
