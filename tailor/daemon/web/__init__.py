"""The page that shows what the daemon does: static files, and the application that answers with them."""

from .files import PageFiles

__all__ = ["PageFiles"]
