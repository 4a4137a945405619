"""WHEN and WHERE work runs; it never asks what the work is."""

from .budget import Allowance, Budget, EnergyClass, Spent, steps_that_fit
from .conditions import Conditions, QuietHours, Surroundings, Unmet
from .cost import Costs, Estimate
from .job import Job, Priority
from .lane import Lane, ThreadLane
from .queue import Queue

__all__ = [
    "Allowance",
    "Budget",
    "Conditions",
    "Costs",
    "EnergyClass",
    "Estimate",
    "Job",
    "Lane",
    "Priority",
    "Queue",
    "QuietHours",
    "Spent",
    "Surroundings",
    "ThreadLane",
    "Unmet",
    "steps_that_fit",
]
