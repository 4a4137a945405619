"""Metrics as Prometheus reads them: the text format 0.0.4 (https://prometheus.io/docs/instrumenting/exposition_formats/)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Literal, TypeAlias

from tailor.client import Status

from .metrics import BUCKETS, Metrics

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels: TypeAlias = dict[str, str]
Sample: TypeAlias = tuple[Labels, float]
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def exposition(status: Status, measured: Metrics) -> str:
    """All of it: a family of samples behind the other."""
    return "".join(line + "\n" for line in _lines(status, measured))


def _lines(status: Status, measured: Metrics) -> Iterator[str]:
    one: Labels = {}
    yield from _family("tailor_info", "gauge", "The daemon's version.", [({"version": status.version}, 1)])
    yield from _family("process_start_time_seconds", "gauge", "When it began.", [(one, status.started_at.timestamp())])
    yield from _family("process_resident_memory_bytes", "gauge", "Memory that is in use.", [(one, status.memory)])
    yield from _family("tailor_models", "gauge", "Registered models.", [(one, status.models)])
    yield from _family("tailor_models_in_memory", "gauge", "Models that are loaded.", [(one, status.models_in_memory)])
    yield from _family("tailor_users", "gauge", "Users of all models.", [(one, status.users)])
    yield from _family("tailor_examples_waiting", "gauge", "Examples that wait for an update.", [(one, status.waiting)])
    yield from _family("tailor_updates_open", "gauge", "Updates that have not ended.", _by("state", status.updates))
    yield from _family(
        "tailor_lane_capacity", "gauge", "Jobs that a lane runs at once.", [({"lane": lane.name}, lane.capacity) for lane in status.lanes]
    )
    yield from _family("tailor_lane_busy", "gauge", "Jobs that a lane runs.", [({"lane": lane.name}, lane.busy) for lane in status.lanes])
    yield from _family(
        "tailor_sync_ok", "gauge", "Whether the last sync with a place went well.", [({"place": s.place}, s.ok) for s in status.syncs]
    )
    syncs = [({"place": sync.place}, sync.at.timestamp()) for sync in status.syncs]
    yield from _family("tailor_sync_timestamp_seconds", "gauge", "When the last sync with a place was.", syncs)
    yield from _family("tailor_examples_total", "counter", "Examples that were sent by HTTP.", _by("result", measured.examples))
    yield from _family("tailor_predictions_total", "counter", "Answers of models.", [(one, measured.predictions)])
    yield from _family("tailor_updates_total", "counter", "Updates that have ended.", _by("state", measured.updates))
    yield from _family(
        "tailor_update_seconds_total", "counter", "From the beginning of updates to their end.", [(one, measured.update_seconds)]
    )
    yield from _family("tailor_events_total", "counter", "What happened, by its kind.", _by("kind", measured.events))
    yield from _family("tailor_event_listeners", "gauge", "Streams of events that are open.", [(one, measured.listeners)])
    yield from _family("tailor_events_missed_total", "counter", "Events that a listener was too slow for.", [(one, measured.missed)])
    requests = [({"method": a.method, "route": a.route, "status": str(a.status)}, count) for a, count in sorted(measured.requests.items())]
    yield from _family("tailor_http_requests_total", "counter", "Requests that were answered.", requests)
    yield from _histogram(measured)


def _family(name: str, kind: Literal["counter", "gauge"], told: str, samples: Iterable[Sample]) -> Iterator[str]:
    yield f"# HELP {name} {told}"
    yield f"# TYPE {name} {kind}"
    for labels, value in samples:
        yield _sample(name, labels, value)


def _histogram(measured: Metrics) -> Iterator[str]:
    name = "tailor_http_request_duration_seconds"
    yield f"# HELP {name} From the head of a request to that of its answer."
    yield f"# TYPE {name} histogram"
    for route, durations in sorted(measured.durations.items()):
        for bound, count in zip([*map(str, BUCKETS), "+Inf"], accumulate(durations.counts), strict=True):
            yield _sample(f"{name}_bucket", {"route": route, "le": bound}, count)
        yield _sample(f"{name}_sum", {"route": route}, durations.total)
        yield _sample(f"{name}_count", {"route": route}, sum(durations.counts))


def _by(label: str, counts: dict[str, int]) -> list[Sample]:
    return [({label: name}, count) for name, count in sorted(counts.items())]


def _sample(name: str, labels: Labels, value: float) -> str:
    within = ",".join(f'{label}="{text.translate(_ESCAPES)}"' for label, text in labels.items())
    return f"{name}{{{within}}} {value + 0}" if labels else f"{name} {value + 0}"
