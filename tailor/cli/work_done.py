"""How far work on a store is: a live bar on a terminal, nothing elsewhere."""

from __future__ import annotations

from types import TracebackType

from rich import progress as bars

from . import terminal


class WorkDone:
    """A context manager around the work; ``show`` is its progress function."""

    def __init__(self, what: str, quiet: bool = False) -> None:
        console = terminal.progress()
        self._bar = bars.Progress(console=console, transient=True, disable=quiet or not console.is_terminal)
        self._row = self._bar.add_task(what, total=None)

    def __enter__(self) -> WorkDone:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bar.stop()

    def show(self, done: int, of: int) -> None:
        """So much is done, of so much."""
        self._bar.update(self._row, completed=done, total=of)
