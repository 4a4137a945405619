"""Where a store can be kept."""

from .backend import (
    Backend,
    Body,
    Chunk,
    Entry,
    Expected,
    check_expected,
    check_key,
    check_prefix,
    check_size,
    exact_chunks,
    read_whole,
)
from .cloud import CloudBackend
from .directory import DirectoryBackend
from .memory import MemoryBackend
from .sqlite import SQLiteBackend
from .urls import open_backend
from .webdav import WebDAVBackend

__all__ = [
    "Backend",
    "Body",
    "Chunk",
    "CloudBackend",
    "DirectoryBackend",
    "Entry",
    "Expected",
    "MemoryBackend",
    "SQLiteBackend",
    "WebDAVBackend",
    "check_expected",
    "check_key",
    "check_prefix",
    "check_size",
    "exact_chunks",
    "open_backend",
    "read_whole",
]
