"""What is, and what would be: why, statistics, forecasts, simulations."""

from .forecast import Forecast, Moment, forecast
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
from .simulate import Player, copied, simulate
from .statistics import LaneUse, Statistics, statistics
from .timeline import Course, Simulation, Stretch
from .trace import RequestedWork, Trace, Work, daily
from .why import Why, why

__all__ = [
    "AfterJobs",
    "AtRest",
    "AtWork",
    "BudgetTooSmall",
    "CoresTaken",
    "Course",
    "Finished",
    "Forecast",
    "LaneUse",
    "LanesFull",
    "Moment",
    "Next",
    "NoLane",
    "OthersAhead",
    "Player",
    "Reason",
    "RequestedWork",
    "Simulation",
    "SparesBattery",
    "Statistics",
    "Stretch",
    "TagLimit",
    "TooEarly",
    "Trace",
    "UnmetConditions",
    "Why",
    "Work",
    "copied",
    "daily",
    "forecast",
    "simulate",
    "statistics",
    "why",
]
