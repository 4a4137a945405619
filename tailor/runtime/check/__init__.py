"""Trust in numbers: an update checked against sources that share nothing with the code that trains."""

from .update import check_update
from .verdict import Check

__all__ = ["Check", "check_update"]
