"""``tailor backup --daemon`` and ``tailor restore --daemon``: all that a daemon keeps, in one file, and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from .daemon_options import service_errors
from .outputs import check_writable
from .terminal import file_size, print_json, results

if TYPE_CHECKING:
    from tailor.daemon.service import BackupReport, RestoreReport


def backup_daemon(
    output: Path, config: Path | None, state: Path | None, store: str | None, key_file: Path | None, *, as_json: bool
) -> None:
    """Writes the backup of the daemon that the settings and options tell of."""
    check_writable(output)
    with service_errors():
        import msgspec

        from tailor.daemon.service import Asked, back_up, store_of

        asked = Asked(config, state)
        settings = asked.settings()
        places = asked.places(settings)
        place = store or places.store
        settings = settings if key_file is None else msgspec.structs.replace(settings, key_file=str(key_file))
        file = None if asked.file is None else asked.file.absolute()

        async def work() -> BackupReport:
            async with await store_of(settings, place, create=False) as opened:
                return await back_up(output, places.state, opened, place, file)

        report = anyio.run(work)
    if as_json:
        told = {name: getattr(report, name) for name in ("models", "updates", "heads", "size")}
        print_json({"output": str(output), "state": str(places.state), **told, "storeElsewhere": report.store})
        return
    counted = f"{report.models} models, {report.updates} updates at work, {report.heads} heads, {file_size(report.size)}"
    results().print(f"{output}: {counted}", markup=False, soft_wrap=True)
    if report.store is not None:
        results().print(f"versions are in {report.store}, and not in the file", markup=False, soft_wrap=True)


def restore_daemon(backup: Path, state: Path | None, store: str | None, key_file: Path | None, *, move_back: bool, as_json: bool) -> None:
    """Puts what a backup has into a state folder and a store, and says how the daemon is started there."""
    with service_errors():
        from tailor.daemon.configuration import Places, Settings
        from tailor.daemon.service import restore_daemon as restored
        from tailor.daemon.service import store_of

        settings = Settings(key_file=None if key_file is None else str(key_file))
        places = Places.of(settings, state=state)
        place = store or places.store

        async def work() -> RestoreReport:
            async with await store_of(settings, place) as opened:
                return await restored(backup, places.state, opened, move_back=move_back)

        report = anyio.run(work)
    if as_json:
        names = {"made_at": "madeAt", "heads": "heads", "settings": "settings", "store": "store", "store_elsewhere": "storeElsewhere"}
        print_json({"state": str(places.state), **{told: getattr(report, name) for name, told in names.items()}})
        return
    lines = [f"{places.state}: the daemon as it was at {report.made_at[:19]}Z, {report.heads} heads"]
    if report.store is not None:
        lines.append(f"versions are in {report.store}")
    if report.store_elsewhere is not None:
        lines.append(
            f"versions are in {report.store_elsewhere} still: those that came after the backup were made of examples that wait here again"
        )
    if report.settings is not None:
        lines.append(f"its settings, once {report.settings_before}, are {report.settings}: paths in them may need a change")
    results().print("\n".join(lines), markup=False, soft_wrap=True)
