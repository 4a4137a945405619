"""A kiosk that learns from a folder: whoever puts a drawing into a sub-folder of it teaches the model what it is.

1. A daemon watches the folder ``drop``. It knows no drawing yet, and takes every one for "unknown".
2. Visitors leave circles and crosses there, as PNG files in folders that are called so. The daemon reads each file once it is complete,
   makes an update as soon as twelve examples wait, and keeps the new version in its store. From then on it knows them.
3. Others leave squares and stripes. Somebody leaves a file that is no image, which is told of, and stops nothing.
4. The daemon is killed, and started again: it looks through the whole folder, and counts nothing twice.

Run it as ``python examples/kiosk.py [--models FOLDER] [--output FOLDER]``, with ``pip install 'tailor[daemon]'``. The model is made here,
or is ``UpdatableDrawingClassifier.mlmodel`` of a folder. Exits with 1 where a check fails.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
from daemon_process import daemon_in, learned, quoted, show_checks, until
from drawings import DRAWING, drawings, make_classifier
from PIL import Image

from tailor.client import Client

USER = "visitors"
EACH = 6
KNOWN = ("circle", "cross", "square", "stripes")


def leave(drop: Path, shape: str, seed: int, count: int = EACH) -> None:
    """Somebody leaves drawings of a shape. Each comes under a name that nobody looks at until it is complete."""
    (drop / shape).mkdir(parents=True, exist_ok=True)
    for number, pixels in enumerate(drawings(shape, count, seed)):
        unfinished = drop / shape / f".{number}.png"
        Image.fromarray(pixels).save(unfinished)
        unfinished.rename(drop / shape / f"{number}.png")


async def taken_for(client: Client) -> list[str]:
    """What the kiosk takes new drawings for, one of each shape."""
    told = await client.predict(DRAWING, USER, [{"drawing": Image.fromarray(drawings(shape, 1, seed=7)[0])} for shape in KNOWN])
    return [str(output["label"]) for output in told.outputs]


async def refused(client: Client) -> str:
    """Waits until a file was refused; what is told of it."""
    async for event in client.events(after=0):
        if event.kind == "file_refused":
            return event.text
    return ""


def settings_of(drop: Path, model: Path) -> str:
    """What the daemon is told: the model, the folder, and when to learn."""
    drop.mkdir(parents=True, exist_ok=True)
    return f"""
[updates]
examples = {2 * EACH}

[models.{DRAWING}]
path = {quoted(model.absolute())}

[watch.kiosk]
folder = {quoted(drop.absolute())}
model = "{DRAWING}"
user = "{USER}"
settle = 0.1
"""


async def show(folder: Path, model: Path) -> bool:
    """All of it; true where every check passed."""
    drop, settings = folder / "drop", settings_of(folder / "drop", model)
    async with daemon_in(folder / "daemon", settings) as running:
        client = running.client
        await client.add_user(DRAWING, USER)
        before = await taken_for(client)
        print(f"1. New drawings of {', '.join(KNOWN)} are taken for {', '.join(before)}")
        for seed, shape in enumerate(KNOWN[:2]):
            leave(drop, shape, seed)
        await learned(client, DRAWING, USER, 2 * EACH)
        between = await taken_for(client)
        print(f"2. {2 * EACH} drawings were left and learned; now they are taken for {', '.join(between)}")
        for seed, shape in enumerate(KNOWN[2:]):
            leave(drop, shape, seed)
        (drop / "circle" / "letter.png").write_text("no image at all")
        await learned(client, DRAWING, USER, 4 * EACH)
        after, told = await taken_for(client), await refused(client)
        print(f"3. {2 * EACH} more were; now they are taken for {', '.join(after)}\n   {told}")
        versions = await client.history(DRAWING, USER)
        running.process.kill()
    async with daemon_in(folder / "daemon", settings) as running:
        print("4. The daemon was killed, and looks through the folder again, in which there is one drawing more")
        client = running.client
        leave(drop, "triangle", seed=9, count=1)
        last = await until(client, DRAWING, USER, lambda record: record.waiting > 0)
        again, same = await taken_for(client), await client.history(DRAWING, USER) == versions
    return show_checks(
        {
            "the model knew no drawing": set(before) == {"unknown"},
            "it knows what visitors left": between[:2] == list(KNOWN[:2]),
            "and what others left after them": after == list(KNOWN),
            "a file that is no image is named": "letter.png" in told,
            "each update made a version": len(versions) == 2,
            "killed and started again it knows the same": again == after and same,
            f"every drawing counts once: {last.learned} are learned, {last.waiting} waits": (last.learned, last.waiting) == (4 * EACH, 1),
        }
    )


def main() -> int:
    """Reads the command line and runs the example; the exit code."""
    parser = argparse.ArgumentParser(description="A kiosk learns what visitors leave in a folder.")
    parser.add_argument("--models", type=Path, help=f"a folder with {DRAWING}.mlmodel (default: a small one is made)")
    parser.add_argument("--output", type=Path, help="a new folder for all that is kept (default: one that is removed again)")
    given = parser.parse_args()
    with TemporaryDirectory() as temporary:
        model = given.models / f"{DRAWING}.mlmodel" if given.models else make_classifier(Path(temporary))
        return 0 if anyio.run(show, given.output or Path(temporary), model) else 1


if __name__ == "__main__":
    sys.exit(main())
