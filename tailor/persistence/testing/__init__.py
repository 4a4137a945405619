"""For those who write a backend, or something that stands on one: a check that it keeps its promises, and one that breaks them."""

from .conformance import check_backend
from .faulty import Fault, FaultyBackend, Killed, Operation

__all__ = ["Fault", "FaultyBackend", "Killed", "Operation", "check_backend"]
