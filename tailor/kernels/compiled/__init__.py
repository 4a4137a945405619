"""Programs that one compiled loop goes through: the door of what the plan needs to make and run them.

Importing this does not import Numba; the first run of a program does.
"""

from .assembly import Assembly, Packed
from .program import Crew, Program, can_run, linger
from .records import AXES
from .table import BINDS
from .views import Border, View

__all__ = ["AXES", "BINDS", "Assembly", "Border", "Crew", "Packed", "Program", "View", "can_run", "linger"]
