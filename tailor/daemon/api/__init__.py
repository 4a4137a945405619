"""The door of the API: the daemon over HTTP."""

from .application import Application
from .routes import ROUTES, Route
from .service import Service
from .tokens import Tokens, open_tokens

__all__ = ["ROUTES", "Application", "Route", "Service", "Tokens", "open_tokens"]
