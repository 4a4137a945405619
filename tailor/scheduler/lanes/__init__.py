"""Where work runs: threads, worker processes, accelerators."""

from .accelerator import Accelerator, AcceleratorLane
from .channel import Channel
from .lane import Lane, ThreadLane
from .processes import ProcessLane
from .worker import caller

__all__ = [
    "Accelerator",
    "AcceleratorLane",
    "Channel",
    "Lane",
    "ProcessLane",
    "ThreadLane",
    "caller",
]
