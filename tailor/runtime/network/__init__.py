"""The network engine: graphs of ops, plans that run them, the way back, and descent on parameters. No files, no messages."""

from __future__ import annotations

from .crew import mates, shared_crew
from .graph import Graph, Node
from .lower import lower
from .observe import Step, Watch, model_watched, watched, watching
from .plan import Plan, Plans, make_plan
from .portions import Portion, Tensors, portions
from .rewrite import fold_batchnorms, fuse
from .step import Stop, asked_to_stop, stopping
from .team import Team, at_most, one_blas_thread, shared_team
from .trainer import Loss, Trainer

__all__ = [
    "Graph",
    "Loss",
    "Node",
    "Plan",
    "Plans",
    "Portion",
    "Step",
    "Stop",
    "Team",
    "Tensors",
    "Trainer",
    "Watch",
    "asked_to_stop",
    "at_most",
    "fold_batchnorms",
    "fuse",
    "lower",
    "make_plan",
    "mates",
    "model_watched",
    "one_blas_thread",
    "portions",
    "shared_crew",
    "shared_team",
    "stopping",
    "watched",
    "watching",
]
