"""coremltools, where it is installed: an independent reader and writer of the format."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import pytest


def coremltools() -> Any:
    """The package; skips the test where it is absent. What it warns of when imported is none of our business."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            importlib.import_module("coremltools.models.neural_network.quantization_utils")
            return importlib.import_module("coremltools")
        except ImportError:
            pytest.skip("needs coremltools")
