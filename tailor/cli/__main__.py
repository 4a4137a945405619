"""``python -m tailor.cli``: the same as the ``tailor`` command."""

from __future__ import annotations

import sys

from .app import main

if __name__ == "__main__":
    sys.exit(main())
