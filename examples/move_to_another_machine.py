"""A daemon moves to another machine, with all that it has learned, all that waits, and the settings.

1. On the old machine a daemon learns circles and crosses. Then three squares come, too few for an update.
2. ``tailor backup --daemon`` writes everything to one file, while the daemon works. Then the machine is gone: the process is killed, and
   its folder removed.
3. On the new machine ``tailor restore --daemon`` makes the same of that file, in another folder. The daemon that is started there has the
   same versions, and the squares still wait.
4. The client, who is not sure which of them came through, sends all squares again, and more: nothing counts twice, and the model learns.

The two machines are two folders here. Run it as ``python examples/move_to_another_machine.py [--models FOLDER] [--output FOLDER]``, with
``pip install 'tailor[daemon]'``. Exits with 1 where a check fails.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
from daemon_process import TAILOR, daemon_in, learned, quoted, show_checks
from drawings import DRAWING, drawings, make_classifier
from PIL import Image

from tailor.client import Client, NewExample

USER = "ada"
EACH, FIRST = 6, 3
SHAPES = ("circle", "cross", "square")


def examples(shape: str, count: int) -> list[NewExample]:
    """Drawings with names of their own: to send one again adds nothing."""
    return [
        NewExample(features={"drawing": Image.fromarray(pixels), "label": shape}, id=f"{shape}-{number}")
        for number, pixels in enumerate(drawings(shape, count, seed=SHAPES.index(shape) % 2))
    ]


async def taken_for(client: Client) -> list[str]:
    """What new drawings are taken for, one of each shape."""
    told = await client.predict(DRAWING, USER, [{"drawing": Image.fromarray(drawings(shape, 1, seed=7)[0])} for shape in SHAPES])
    return [str(output["label"]) for output in told.outputs]


async def tailor(*arguments: object) -> None:
    """A command, as people type it; what it says."""
    done = await anyio.run_process([*TAILOR, *map(str, arguments)], stderr=subprocess.STDOUT)
    print("".join(f"   {line}\n" for line in done.stdout.decode().splitlines()), end="")


async def show(folder: Path, model: Path) -> bool:
    """All of it; true where every check passed."""
    old, new, backup = folder / "old", folder / "new", folder / "everything.tailor"
    learns = f"[updates]\nexamples = {EACH}\n"
    async with daemon_in(old, f"{learns}[models.{DRAWING}]\npath = {quoted(model)}\n") as running:
        client = running.client
        for shape in SHAPES[:2]:
            await client.add_examples(DRAWING, USER, examples(shape, EACH))
        await learned(client, DRAWING, USER, 2 * EACH)
        await client.add_examples(DRAWING, USER, examples("square", FIRST))
        known, versions = await taken_for(client), await client.history(DRAWING, USER)
        print(f"1. The daemon in {old} has learned {2 * EACH} drawings, and {FIRST} wait")
        print("2. Everything is written to one file; then the daemon is killed, and its folder is gone")
        await tailor("backup", "--daemon", backup, "--config", old / "tailor.toml")
        running.process.kill()
    shutil.rmtree(old)
    print(f"3. It is restored in {new}")
    await tailor("restore", backup, "--daemon", "--state", new / "state", "--store", new / "store")
    async with daemon_in(new, learns) as running:  # the model is in the backup, and need not be registered again
        client = running.client
        moved, same = await client.user(DRAWING, USER), await client.history(DRAWING, USER) == versions
        still = await taken_for(client)
        added = await client.add_examples(DRAWING, USER, examples("square", EACH))
        last = await learned(client, DRAWING, USER, 3 * EACH)
        after = await taken_for(client)
        print(f"4. {EACH} squares are sent, {added.duplicates} of which were there; the model has learned {last.learned} drawings")
    return show_checks(
        {
            f"the old daemon knew {', '.join(known[:2])}": known[:2] == list(SHAPES[:2]),
            "the new one has the same versions": same and versions != [],
            "and gives the same answers": still == known,
            f"what was waiting waits: {moved.waiting} drawings": (moved.learned, moved.waiting) == (2 * EACH, FIRST),
            "what is sent again is not counted again": (added.accepted, added.duplicates) == (EACH - FIRST, FIRST),
            f"it goes on to learn: a new square is taken for a {after[2]}, and was for a {still[2]}": after[2] == "square" != still[2],
        }
    )


def main() -> int:
    """Reads the command line and runs the example; the exit code."""
    parser = argparse.ArgumentParser(description="A daemon moves to another machine.")
    parser.add_argument("--models", type=Path, help=f"a folder with {DRAWING}.mlmodel (default: a small one is made)")
    parser.add_argument("--output", type=Path, help="a new folder for both machines (default: one that is removed again)")
    given = parser.parse_args()
    with TemporaryDirectory() as temporary:
        model = given.models / f"{DRAWING}.mlmodel" if given.models else make_classifier(Path(temporary))
        return 0 if anyio.run(show, (given.output or Path(temporary)).absolute(), model.absolute()) else 1


if __name__ == "__main__":
    sys.exit(main())
