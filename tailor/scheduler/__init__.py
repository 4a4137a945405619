"""WHEN and WHERE work runs; it never asks what the work is."""

from .budget import Allowance, Budget, EnergyClass, Spent, steps_that_fit
from .conditions import Conditions, QuietHours, Surroundings, Unmet
from .cost import Costs, Estimate
from .job import Job, Priority
from .lane import Lane, ThreadLane
from .queue import Queue
from .requests import (
    BGAppRefreshTaskRequest,
    BGProcessingTaskRequest,
    BGTaskRequest,
    BGTaskSchedulerError,
    BGTaskSchedulerErrorCode,
    PendingRequests,
)

__all__ = [
    "Allowance",
    "BGAppRefreshTaskRequest",
    "BGProcessingTaskRequest",
    "BGTaskRequest",
    "BGTaskSchedulerError",
    "BGTaskSchedulerErrorCode",
    "Budget",
    "Conditions",
    "Costs",
    "EnergyClass",
    "Estimate",
    "Job",
    "Lane",
    "PendingRequests",
    "Priority",
    "Queue",
    "QuietHours",
    "Spent",
    "Surroundings",
    "ThreadLane",
    "Unmet",
    "steps_that_fit",
]
