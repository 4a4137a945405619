"""The ``tailor`` command's way in: the package is imported inside, so that an interruption meanwhile ends quietly, too."""

from __future__ import annotations

import sys


def main() -> int:
    """Runs the command line and gives its exit code; 130 where it is interrupted, even before it could begin."""
    try:
        from tailor.cli import main as run

        return run()
    except KeyboardInterrupt:
        print("tailor: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
