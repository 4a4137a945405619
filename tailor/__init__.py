"""tailor runs and personalises Core ML models anywhere."""

from .runtime import *  # noqa: F403
from .runtime import __all__ as __all__
