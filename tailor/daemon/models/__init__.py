"""The door of models: those that are registered, and those of users; in memory, as files, and at work."""

from .cache import UserModels
from .loaded import Loaded, Models
from .memory import Memory
from .predicting import Predicting, batching
from .registry import ModelRegistry, Tell

__all__ = ["Loaded", "Memory", "ModelRegistry", "Models", "Predicting", "Tell", "UserModels", "batching"]
