"""The network engine: graphs of ops, plans that run them, the way back, and descent on parameters. No files, no messages."""

from __future__ import annotations

from .backward import Tape, gradients, stuck_gradients
from .border import cut
from .crew import mates, shared_crew
from .graph import Graph, Node, inside
from .indices import indices
from .lower import lower
from .observe import Step, Watch, model_watched, watched, watching
from .plan import Plan, Plans, make_plan
from .portions import Portion, Tensors, company_matters, in_any_company, portions, run_all, stacked
from .rewrite import fold_batchnorms, fuse
from .step import Stop, asked_to_stop, quiet, stopping
from .team import Team, allowed, at_most, granted, one_blas_thread, shared_team
from .trainer import Clip, Loss, Trainer, check_finite, check_losses

__all__ = [
    "Clip",
    "Graph",
    "Loss",
    "Node",
    "Plan",
    "Plans",
    "Portion",
    "Step",
    "Stop",
    "Tape",
    "Team",
    "Tensors",
    "Trainer",
    "Watch",
    "allowed",
    "asked_to_stop",
    "at_most",
    "check_finite",
    "check_losses",
    "company_matters",
    "cut",
    "fold_batchnorms",
    "fuse",
    "gradients",
    "granted",
    "in_any_company",
    "indices",
    "inside",
    "lower",
    "make_plan",
    "mates",
    "model_watched",
    "one_blas_thread",
    "portions",
    "quiet",
    "run_all",
    "shared_crew",
    "shared_team",
    "stacked",
    "stopping",
    "stuck_gradients",
    "watched",
    "watching",
]
