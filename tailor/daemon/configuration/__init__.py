"""The daemon's settings: what may be in them, and reading them."""

from .checking import every_field
from .errors import Problem, SettingsError
from .places import Places, find_settings, is_url, private_folder
from .reading import read_settings
from .settings import Conditions, Examples, Guard, Limits, Model, Remote, Settings, Sync, Updates, Watch

__all__ = [
    "Conditions",
    "Examples",
    "Guard",
    "Limits",
    "Model",
    "Places",
    "Problem",
    "Remote",
    "Settings",
    "SettingsError",
    "Sync",
    "Updates",
    "Watch",
    "every_field",
    "find_settings",
    "is_url",
    "private_folder",
    "read_settings",
]
