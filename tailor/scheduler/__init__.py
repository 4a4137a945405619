"""WHEN and WHERE work runs; it never asks what the work is."""

from .accelerator import Accelerator, AcceleratorLane
from .background import BGTaskScheduler
from .budget import Allowance, Budget, EnergyClass, Spent, steps_that_fit
from .channel import Channel
from .conditions import Conditions, QuietHours, Surroundings, Unmet
from .cost import Costs, Estimate
from .dispatch import Dispatcher
from .errors import BudgetExhausted, DependencyFailed, JobCancelled, LaneLost, SchedulerClosed, SchedulerError, SchedulerFull, TurnWithdrawn
from .events import (
    Event,
    EventsMissed,
    JobCheckpointed,
    JobEvent,
    JobExpired,
    JobFinished,
    JobMoved,
    JobPaused,
    JobResumed,
    JobRetried,
    JobStarted,
    JobSubmitted,
    LaneCameBack,
    LaneWentAway,
    Outcome,
    Pause,
    RequestGivenUp,
    RequestLaunched,
    RequestStoreFailed,
    SurroundingsChanged,
)
from .forecast import Forecast, Moment
from .job import Job, Priority
from .lane import Lane, ThreadLane
from .launch import BGAppRefreshTask, BGProcessingTask, BGTask, Expiry, LaunchFailed
from .processes import ProcessLane
from .queue import Queue
from .reasons import (
    AfterJobs,
    AtRest,
    AtWork,
    BudgetTooSmall,
    CoresTaken,
    Finished,
    LanesFull,
    Next,
    NoLane,
    OthersAhead,
    Reason,
    SparesBattery,
    TagLimit,
    TooEarly,
    UnmetConditions,
)
from .request_store import MemoryRequestStore, RequestStore, RequestStoreError, SQLiteRequestStore
from .requests import (
    BGAppRefreshTaskRequest,
    BGProcessingTaskRequest,
    BGTaskRequest,
    BGTaskSchedulerError,
    BGTaskSchedulerErrorCode,
    KeptRequest,
)
from .retry import Retry
from .scheduler import Scheduler
from .sensors import PsutilSensors, Sensors
from .simulate import simulate
from .statistics import LaneUse, Statistics
from .stream import EventStream, Observers
from .telemetry import Telemetry
from .ticket import Stint, Ticket
from .timeline import Course, Simulation, Stretch
from .trace import RequestedWork, Trace, Work, daily
from .turn import Entry, Standing, Turn
from .why import Why
from .worker import caller

__all__ = [
    "Accelerator",
    "AcceleratorLane",
    "AfterJobs",
    "Allowance",
    "AtRest",
    "AtWork",
    "BGAppRefreshTask",
    "BGAppRefreshTaskRequest",
    "BGProcessingTask",
    "BGProcessingTaskRequest",
    "BGTask",
    "BGTaskRequest",
    "BGTaskScheduler",
    "BGTaskSchedulerError",
    "BGTaskSchedulerErrorCode",
    "Budget",
    "BudgetExhausted",
    "BudgetTooSmall",
    "Channel",
    "Conditions",
    "CoresTaken",
    "Costs",
    "Course",
    "DependencyFailed",
    "Dispatcher",
    "EnergyClass",
    "Entry",
    "Estimate",
    "Event",
    "EventStream",
    "EventsMissed",
    "Expiry",
    "Finished",
    "Forecast",
    "Job",
    "JobCancelled",
    "JobCheckpointed",
    "JobEvent",
    "JobExpired",
    "JobFinished",
    "JobMoved",
    "JobPaused",
    "JobResumed",
    "JobRetried",
    "JobStarted",
    "JobSubmitted",
    "KeptRequest",
    "Lane",
    "LaneCameBack",
    "LaneLost",
    "LaneUse",
    "LaneWentAway",
    "LanesFull",
    "LaunchFailed",
    "MemoryRequestStore",
    "Moment",
    "Next",
    "NoLane",
    "Observers",
    "OthersAhead",
    "Outcome",
    "Pause",
    "Priority",
    "ProcessLane",
    "PsutilSensors",
    "Queue",
    "QuietHours",
    "Reason",
    "RequestGivenUp",
    "RequestLaunched",
    "RequestStore",
    "RequestStoreError",
    "RequestStoreFailed",
    "RequestedWork",
    "Retry",
    "SQLiteRequestStore",
    "Scheduler",
    "SchedulerClosed",
    "SchedulerError",
    "SchedulerFull",
    "Sensors",
    "Simulation",
    "SparesBattery",
    "Spent",
    "Standing",
    "Statistics",
    "Stint",
    "Stretch",
    "Surroundings",
    "SurroundingsChanged",
    "TagLimit",
    "Telemetry",
    "ThreadLane",
    "Ticket",
    "TooEarly",
    "Trace",
    "Turn",
    "TurnWithdrawn",
    "Unmet",
    "UnmetConditions",
    "Why",
    "Work",
    "caller",
    "daily",
    "simulate",
    "steps_that_fit",
]
