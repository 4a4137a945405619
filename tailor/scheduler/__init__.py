"""WHEN and WHERE work runs; it never asks what the work is."""

from .lane import Lane, ThreadLane

__all__ = ["Lane", "ThreadLane"]
