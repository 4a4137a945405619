"""``make fuzz``: spoils models, and sees that nothing but an error of the family comes of it.

Each case is run in a child process with a limit of memory and of time; a child that dies or hangs has its case named, as
every other failure has, shrunk by Hypothesis, as a line that runs it again.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import re
import selectors
import subprocess
import sys
import tempfile
import time
from collections import Counter
from typing import IO, Any

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.fuzz.changes import cases, spoilt
from tests.fuzz.corpus import makers

LIMIT = 40.0
"""Seconds that one case may take."""

BAD = ("foreign", "silent", "died", "hung")
"""The ends that no case may have."""

COMMAND = ["-m", "tests.fuzz.child"]
"""What Python is told to run."""

ROUND = 200
"""Cases that Hypothesis makes in one go."""


class Child:
    """The process that runs cases; another one after each that did not come back."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._log: IO[str] = tempfile.TemporaryFile("w+")  # noqa: SIM115 (``close`` does)

    def run(self, case: dict[str, Any]) -> dict[str, str]:
        """How the case ended: as the child says, or ``died`` or ``hung``."""
        data, inputs = spoilt(case)
        given = {name: [x.shape, x.reshape(-1).tolist()] for name, x in inputs.items()}
        process = self._alive()
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps({"model": base64.b64encode(data).decode(), "inputs": given}) + "\n")
        process.stdin.flush()
        with selectors.DefaultSelector() as ready:
            ready.register(process.stdout, selectors.EVENT_READ)
            came = ready.select(LIMIT)
        line = process.stdout.readline() if came else ""
        if line:
            answer: dict[str, str] = json.loads(line)
            return answer
        self.stop()
        self._log.seek(0)
        return {"end": "died" if came else "hung", "said": f"exit status {process.returncode}\n{self._log.read()[-2000:]}"}

    def _alive(self) -> subprocess.Popen[str]:
        if self._process is None:
            self._log.seek(0)
            self._log.truncate()
            command = [sys.executable, "-X", "faulthandler", *COMMAND]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True, bufsize=1)
        return self._process

    def close(self) -> None:
        """Ends the process for good."""
        self.stop()
        self._log.close()

    def stop(self) -> None:
        """Ends the process; the next case has another one."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def signature(answer: dict[str, str]) -> str:
    """What tells one finding from another: the last place in our own code, and the kind of error."""
    own = re.findall(r'File ".*?/(tailor/[\w/]+\.py)", line (\d+)', answer["said"])
    kind = answer["said"].strip().splitlines()[-1].split(":")[0] if answer["said"].strip() else ""
    return f"{answer['end']} {':'.join(own[-1]) if own else ''} {kind[:60]}"


class Finding(Exception):
    """A case that ended as none may."""

    def __init__(self, case: dict[str, Any], answer: dict[str, str]) -> None:
        super().__init__(signature(answer))
        self.case, self.answer = case, answer


class Campaign:
    """Rounds of cases until there were enough or the time is over; a finding is told once, and shrunk."""

    def __init__(self, names: tuple[str, ...], seconds: float, first: int, rounds: int | None = None) -> None:
        self.names, self.first, self.rounds = names, first, rounds
        self.end = time.monotonic() + seconds
        self.child = Child()
        self.ends: Counter[str] = Counter()
        self.known: set[str] = set()

    def run(self) -> int:
        """How many findings there were."""
        number = self.first
        while time.monotonic() < self.end and (self.rounds is None or number < self.first + self.rounds):
            try:
                self._round(number)
            except Finding as finding:
                self.known.add(str(finding))
                said = finding.answer["said"].strip()[-3000:]
                print(f"\n== {finding}\n{said}\nagain: python -m tests.fuzz --again '{json.dumps(finding.case)}'", flush=True)
            else:
                number += 1
        self.child.close()
        print(f"{sum(self.ends.values())} cases, {len(self.known)} findings; {dict(self.ends.most_common())}")
        return len(self.known)

    def _round(self, number: int) -> None:
        found: list[str] = []

        @seed(number)
        @settings(
            max_examples=ROUND,
            database=None,
            deadline=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
        )
        @given(cases(self.names))
        def one(case: dict[str, Any]) -> None:
            if time.monotonic() > self.end and not found:
                return
            answer = self.child.run(case)
            self.ends[answer["end"]] += 1
            if answer["end"] in BAD and signature(answer) not in self.known:
                found.append(signature(answer))
                if signature(answer) == found[0]:
                    raise Finding(case, answer)

        one()


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="spoils small models and runs them")
    parser.add_argument("--seconds", type=float, default=60, help="how long, about (default: 60)")
    parser.add_argument("--seed", type=int, default=0, help="the number of the first round (default: 0)")
    parser.add_argument("--rounds", type=int, help=f"how many rounds of {ROUND} cases, at most (default: as many as the time allows)")
    parser.add_argument("--only", default="", help="models of the corpus whose names match this pattern")
    parser.add_argument("--again", help="a case to run again, as a failure prints it")
    options = parser.parse_args()
    if options.again:
        child = Child()
        answer = child.run(json.loads(options.again))
        child.close()
        print(f"{answer['end']}: {answer['said']}")
        return int(answer["end"] in BAD)
    names = tuple(name for name in makers() if re.search(options.only, name))
    return int(Campaign(names, options.seconds, options.seed, options.rounds).run() > 0)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
