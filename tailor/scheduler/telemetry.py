"""Jobs as OpenTelemetry's spans and metrics (``pip install 'tailor[telemetry]'``)."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

from .events import Event, JobEvent, JobFinished, JobPaused, JobResumed, JobRetried, JobStarted, JobSubmitted, LaneWentAway, Outcome
from .scheduler import Scheduler
from .stream import as_fields

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span, TracerProvider

NAME = "tailor.scheduler"


class Telemetry:
    """``with Telemetry(scheduler)``: while the block lasts, jobs are spans, and what is done is counted in metrics.

    A job is a span from its submission to its end, part of the span that it was submitted in; each turn is a span in it, whatever
    else happens to it an event on it. Spans that are open when the block is left end then. By default the providers are those that
    the program has set for all. ``wall``: nanoseconds since 1970. To be entered and left on the event loop's thread.

    Raises ``ModuleNotFoundError`` without OpenTelemetry's API.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        *,
        tracers: TracerProvider | None = None,
        meters: MeterProvider | None = None,
        wall: Callable[[], int] = time.time_ns,
    ) -> None:
        try:
            from opentelemetry import metrics, trace
        except ModuleNotFoundError as error:
            how = "pip install 'tailor[telemetry]'"
            raise ModuleNotFoundError(f"telemetry: OpenTelemetry is not installed; {how}", name=error.name) from error
        self._trace = trace
        self._tracer = trace.get_tracer(NAME, tracer_provider=tracers)
        meter = metrics.get_meter(NAME, meter_provider=meters)
        self._submitted = meter.create_counter("tailor.jobs.submitted", "{job}", "jobs that were submitted")
        self._finished = meter.create_counter("tailor.jobs.finished", "{job}", "jobs that ended, by outcome")
        self._open = meter.create_up_down_counter("tailor.jobs.open", "{job}", "jobs that have not ended")
        self._retried = meter.create_counter("tailor.jobs.retried", "{attempt}", "attempts that failed and are repeated")
        self._lost = meter.create_counter("tailor.workers.lost", "{worker}", "workers and devices that vanished, by lane")
        self._wait = meter.create_histogram("tailor.job.wait", "s", "from a job's submission to its first turn")
        self._work = meter.create_histogram("tailor.turn.work", "s", "of work in a turn, by lane")
        self._scheduler = scheduler
        self._wall = wall
        self._offset = 0
        self._jobs: dict[str, Span] = {}
        self._turns: dict[str, Span] = {}
        self._since: dict[str, float] = {}

    def __enter__(self) -> Telemetry:
        self._offset = self._wall() - round(self._scheduler.clock() * 1e9)
        self._scheduler.observers.add(self._tell)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._scheduler.observers.remove(self._tell)
        for span in (*self._turns.values(), *self._jobs.values()):
            span.end(self._wall())
        self._open.add(-len(self._since))
        for known in (self._turns, self._jobs, self._since):
            known.clear()

    def _tell(self, event: Event) -> None:
        if isinstance(event, LaneWentAway):
            self._lost.add(1, {"lane": event.lane})
        if isinstance(event, JobEvent):
            self._tell_of_job(event)

    def _tell_of_job(self, event: JobEvent) -> None:
        identifier, at = event.identifier, self._offset + round(event.time * 1e9)
        match event:
            case JobSubmitted():
                self._since[identifier] = event.time
                self._submitted.add(1)
                self._open.add(1)
                self._job(identifier, at)
            case JobStarted(lane=lane) | JobResumed(lane=lane):
                if isinstance(event, JobStarted) and identifier in self._since:
                    self._wait.record(event.time - self._since[identifier])
                within = self._trace.set_span_in_context(self._job(identifier, at))
                self._turns[identifier] = self._tracer.start_span(f"turn on {lane}", within, attributes={"lane": lane}, start_time=at)
            case JobPaused(lane=lane, why=why, seconds=seconds, steps=steps):
                self._work.record(seconds, {"lane": lane})
                if (turn := self._turns.pop(identifier, None)) is not None:
                    turn.set_attributes({"steps": steps, "seconds": seconds, "ended": why.name.lower()})
                    turn.end(at)
            case JobFinished(outcome=outcome, error=error):
                self._finished.add(1, {"outcome": outcome.value})
                if self._since.pop(identifier, None) is not None:
                    self._open.add(-1)
                if (job := self._jobs.pop(identifier, None)) is not None:
                    job.set_attribute("outcome", outcome.value)
                    if outcome is Outcome.FAILED:
                        job.set_status(self._trace.StatusCode.ERROR, error)
                    job.end(at)
            case _:
                if isinstance(event, JobRetried):
                    self._retried.add(1)
                if (job := self._jobs.get(identifier)) is not None:
                    told = {name: value for name, value in as_fields(event).items() if name not in ("event", "time", "identifier")}
                    job.add_event(type(event).__name__, {name: str(value) for name, value in told.items()}, at)

    def _job(self, identifier: str, at: int) -> Span:
        """The span of a job; of one that was submitted before anybody watched it begins when something is heard of it."""
        span = self._jobs.get(identifier)
        if span is None:
            span = self._tracer.start_span(f"job {identifier}", attributes={"job.identifier": identifier}, start_time=at)
            self._jobs[identifier] = span
        return span
