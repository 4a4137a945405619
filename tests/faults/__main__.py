"""``make faults``: trainings, their worker processes and the daemon are killed at random moments; all must end with the same bits."""

from __future__ import annotations

import argparse
import sys

import anyio

from tests.faults.daemon_kills import run_daemon_kills
from tests.faults.daemon_troubles import run_daemon_troubles
from tests.faults.kills import run_kills
from tests.faults.workers import run_workers


def main() -> int:
    """Prints a line for each training that ends otherwise, and how many there were; 1 where there was one."""
    arguments = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("--kills", type=int, default=200, help="trainings that are killed, some of them more than once")
    arguments.add_argument("--worker-kills", type=int, default=100, help="worker processes that are killed while updates learn in them")
    arguments.add_argument("--updates", type=int, default=20, help="updates that learn in worker processes at the same time")
    arguments.add_argument("--daemon-kills", type=int, default=200, help="times that a daemon is killed while examples come in")
    arguments.add_argument("--seed", type=int, default=0, help="of the random moments")
    chosen = arguments.parse_args()
    failed = _kill_trainings(chosen.kills, chosen.seed) if chosen.kills else 0
    failed |= _kill_workers(chosen.updates, chosen.worker_kills, chosen.seed)
    failed |= _kill_daemons(chosen.daemon_kills, chosen.seed)
    return failed | _trouble_daemon()


def _kill_trainings(trainings: int, seed: int) -> int:
    kills = equal = 0
    for number, outcome in enumerate(run_kills(trainings, seed)):
        kills += len(outcome.moments)
        equal += outcome.equal
        if not outcome.equal:
            print(f"training {number}, killed after {outcome.moments} mini-batches: expected {outcome.expected}, got {outcome.found}")
        if (number + 1) % 25 == 0:
            print(f"{number + 1} trainings, {kills} kills, {equal} equal", flush=True)
    print(f"{trainings} trainings, killed {kills} times by SIGKILL at random moments (seed {seed}): {equal} equal hashes", flush=True)
    return 0 if equal == trainings else 1


def _kill_workers(updates: int, kills: int, seed: int) -> int:
    if updates == 0:
        return 0
    report = anyio.run(run_workers, updates, kills, seed)
    for number, (found, expected) in enumerate(report.ends):
        if found != expected:
            print(f"update {number}: expected {expected}, got {found}")
    print(
        f"{updates} updates at the same time on 2 worker processes, {report.kills} of which were killed by SIGKILL at random moments "
        f"(seed {seed}), {report.lost} in the middle of a stretch: {report.equal} equal hashes"
    )
    return 0 if report.equal == updates and (report.kills > 0 or kills == 0) else 1  # few updates may be through before all kills


def _kill_daemons(kills: int, seed: int) -> int:
    if kills == 0:
        return 0
    report = anyio.run(run_daemon_kills, kills, seed)
    print(*report.problems, sep="\n", end="\n" if report.problems else "")
    print(
        f"a daemon, killed {report.kills} times by SIGKILL at random moments (seed {seed}), {report.while_beginning} while it began: "
        f"{report.examples} examples, {report.sent_again} of them sent again, "
        f"learned in {report.updates} updates; {len(report.problems)} problems",
        flush=True,
    )
    return 1 if report.problems else 0


def _trouble_daemon() -> int:
    troubles = anyio.run(run_daemon_troubles)
    for trouble in troubles:
        print(f"{'as it should be' if trouble.well else 'NOT AS IT SHOULD BE'}: {trouble.name}: {trouble.told}")
    return 0 if all(trouble.well for trouble in troubles) else 1


if __name__ == "__main__":
    sys.exit(main())
