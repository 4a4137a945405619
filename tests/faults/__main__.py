"""``make faults``: so many trainings are killed at random moments and taken up again; all must end with the same bits."""

from __future__ import annotations

import argparse
import sys

from tests.faults.kills import run_kills


def main() -> int:
    """Prints a line for each training that ends otherwise, and how many there were; 1 where there was one."""
    arguments = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("--kills", type=int, default=200, help="trainings that are killed, some of them more than once")
    arguments.add_argument("--seed", type=int, default=0, help="of the random moments")
    chosen = arguments.parse_args()
    kills = equal = 0
    for number, outcome in enumerate(run_kills(chosen.kills, chosen.seed)):
        kills += len(outcome.moments)
        equal += outcome.equal
        if not outcome.equal:
            print(f"training {number}, killed after {outcome.moments} mini-batches: expected {outcome.expected}, got {outcome.found}")
        if (number + 1) % 25 == 0:
            print(f"{number + 1} trainings, {kills} kills, {equal} equal", flush=True)
    print(f"{chosen.kills} trainings, killed {kills} times by SIGKILL at random moments (seed {chosen.seed}): {equal} equal hashes")
    return 0 if equal == chosen.kills else 1


if __name__ == "__main__":
    sys.exit(main())
