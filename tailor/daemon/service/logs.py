"""The log, on stderr: for journald, as JSON lines, or for people at a terminal. It has no tokens, and nothing of what examples contain."""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import UTC, datetime
from typing import Literal, TypeAlias

LogFormat: TypeAlias = Literal["auto", "text", "json", "journald"]

PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (logging.DEBUG, 7))
"""The numbers of syslog, which journald reads in front of a line: ``<6>``."""


class JsonLines(logging.Formatter):
    """A line of JSON a record: ``time``, ``level``, ``logger``, ``message``, and ``exception`` where there was one."""

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return json.dumps(told)


class Journal(logging.Formatter):
    """What journald reads on stderr: each line with its priority in front. It knows the time itself."""

    def format(self, record: logging.LogRecord) -> str:
        priority = next((number for level, number in PRIORITIES if record.levelno >= level), 7)
        return "\n".join(f"<{priority}>{line}" for line in super().format(record).splitlines())


def begin_log(wanted: LogFormat, level: str) -> None:
    """Lets what tailor says from ``level`` on go to stderr, and warnings of everything else; what was set up before is replaced.

    The scheduler tells of every turn of every prediction: at ``debug`` that is heard, otherwise its warnings are.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter(_chosen(wanted)))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("tailor").setLevel(level.upper())
    logging.getLogger("tailor.scheduler").setLevel(
        logging.NOTSET if level == "debug" else max(logging.WARNING, logging.getLevelName(level.upper()))
    )
    logging.captureWarnings(True)


def _formatter(chosen: LogFormat) -> logging.Formatter:
    if chosen == "json":
        return JsonLines()
    if chosen == "journald":
        return Journal("%(name)s: %(message)s")
    return logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")


def _chosen(wanted: LogFormat) -> LogFormat:
    if wanted != "auto":
        return wanted
    if _journald_listens():
        return "journald"
    return "text" if sys.stderr.isatty() else "json"


def _journald_listens() -> bool:
    """Whether stderr is the stream that systemd names in ``JOURNAL_STREAM``, by device and inode."""
    device, _, inode = os.environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        found = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):  # closed, or no file
        return False
    return (device, inode) == (str(found.st_dev), str(found.st_ino))
