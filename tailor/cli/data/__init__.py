"""Reading examples from folders and files, one example at a time."""

from .reading import DataSource, open_data
from .values import from_json, from_text
from .wanted import Wanted

__all__ = ["DataSource", "Wanted", "from_json", "from_text", "open_data"]
