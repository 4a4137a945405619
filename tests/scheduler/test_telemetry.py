"""Jobs as spans and metrics, held against what OpenTelemetry's own SDK collects."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from tailor.scheduler import Job, LaneLost, Retry, Scheduler, Telemetry
from tailor.scheduler.testing import InlineLane

pytestmark = pytest.mark.anyio

export = pytest.importorskip("opentelemetry.sdk.trace.export", reason="needs OpenTelemetry's SDK, which the test extra installs")


class Collected:
    """Providers whose spans and metrics stay in memory, and a clock that the test sets."""

    def __init__(self) -> None:
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        self.exporter, self.reader, self.now = InMemorySpanExporter(), InMemoryMetricReader(), 100.0
        self.tracers, self.meters = TracerProvider(), MeterProvider([self.reader])
        self.tracers.add_span_processor(export.SimpleSpanProcessor(self.exporter))

    def clock(self) -> float:
        return self.now

    def telemetry(self, scheduler: Scheduler) -> Telemetry:
        return Telemetry(scheduler, tracers=self.tracers, meters=self.meters, wall=lambda: 5_000_000_000_000)  # 5000 s after 1970

    def spans(self) -> list[Any]:
        return sorted(self.exporter.get_finished_spans(), key=lambda span: (span.start_time, span.parent is not None))

    def metrics(self) -> dict[tuple[str, ...], Any]:
        data = self.reader.get_metrics_data()
        points = [
            (metric.name, point)
            for row in data.resource_metrics
            for scope in row.scope_metrics
            for metric in scope.metrics
            for point in metric.data.data_points
        ]
        return {
            (name, *map(str, point.attributes.values())): getattr(point, "value", None) or getattr(point, "sum", 0)
            for name, point in points
        }


async def test_a_job_is_a_span_and_its_turns_are_in_it() -> None:
    seen = Collected()
    async with Scheduler({"cpu": InlineLane()}, cores=1, clock=seen.clock) as scheduler:
        with seen.telemetry(scheduler):
            with seen.tracers.get_tracer("app").start_as_current_span("request") as outer:
                ticket = scheduler.submit(Job(identifier="a"))
            seen.now = 103.0
            for step in range(2):
                async with ticket.turn() as turn:
                    seen.now += 2.0
                    turn.used(1.5, 4 + step)
            ticket.finish()
    job, *turns = [span for span in seen.spans() if span.name != "request"]
    assert (job.name, job.start_time, job.end_time) == ("job a", 5000_000_000_000, 5007_000_000_000)
    assert job.attributes == {"job.identifier": "a", "outcome": "completed"}
    assert job.parent.span_id == outer.get_span_context().span_id
    assert [(turn.name, turn.start_time, turn.end_time) for turn in turns] == [
        ("turn on cpu", 5003_000_000_000, 5005_000_000_000),
        ("turn on cpu", 5005_000_000_000, 5007_000_000_000),
    ]
    assert all(turn.parent.span_id == job.context.span_id for turn in turns)
    assert [dict(turn.attributes) for turn in turns] == [
        {"lane": "cpu", "steps": steps, "seconds": 1.5, "ended": "turn_ended"} for steps in (4, 5)
    ]
    assert seen.metrics() == {
        ("tailor.jobs.submitted",): 1,
        ("tailor.jobs.open",): 0,
        ("tailor.jobs.finished", "completed"): 1,
        ("tailor.job.wait",): 3.0,
        ("tailor.turn.work", "cpu"): 3.0,
    }


async def test_what_goes_wrong_is_seen() -> None:
    seen, attempts = Collected(), iter([LaneLost("exit -9"), OSError("no room"), ValueError("no")])

    def fail() -> None:
        raise next(attempts)

    async with Scheduler({"cpu": InlineLane()}, cores=1) as scheduler:
        with seen.telemetry(scheduler):
            ticket = scheduler.submit(Job(identifier="a"), fail, retry=Retry(first=0.0))
            with pytest.raises(ValueError, match="no"):
                await ticket
    job = next(span for span in seen.spans() if span.name == "job a")
    assert (job.status.status_code.name, job.status.description) == ("ERROR", "ValueError: no")
    assert [(event.name, event.attributes["cause"]) for event in job.events] == [
        ("JobRetried", "LaneLost: exit -9"),
        ("JobRetried", "OSError: no room"),
    ]
    metrics = seen.metrics()
    assert metrics["tailor.jobs.retried",] == 2 and metrics["tailor.workers.lost", "cpu"] == 1
    assert metrics["tailor.jobs.finished", "failed"] == 1


async def test_what_is_open_ends_with_the_block_and_nothing_is_heard_after() -> None:
    seen = Collected()
    async with Scheduler({"cpu": InlineLane()}, cores=1) as scheduler:
        before = scheduler.submit(Job(identifier="before"))
        with seen.telemetry(scheduler):
            ticket = scheduler.submit(Job(identifier="a"))
            async with before.turn():
                pass
        assert sorted(span.name for span in seen.spans()) == ["job a", "job before", "turn on cpu"]
        ticket.finish()
        before.finish()
    assert len(seen.spans()) == 3 and not scheduler.observers.heard
    assert seen.metrics()["tailor.jobs.open",] == 0


async def test_without_opentelemetry_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(ModuleNotFoundError, match=r"OpenTelemetry is not installed; pip install 'tailor\[telemetry\]'"):
        Telemetry(Scheduler())
