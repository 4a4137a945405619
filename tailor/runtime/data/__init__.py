"""Reading examples from folders and files, one example at a time."""

from .folder import is_image, label_of, roles
from .origin import as_text
from .reading import READERS, DataSource, open_data
from .values import from_json, from_text, is_within
from .wanted import Wanted

__all__ = [
    "READERS",
    "DataSource",
    "Wanted",
    "as_text",
    "from_json",
    "from_text",
    "is_image",
    "is_within",
    "label_of",
    "open_data",
    "roles",
]
