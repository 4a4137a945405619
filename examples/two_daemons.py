"""Two devices that sync: each has a daemon that learns by itself, and both end with all that was learned on either.

1. On device A Ada draws circles and crosses, on device B, which knows nothing of it, squares and stripes.
2. Either daemon learns them, and then syncs its store with a place between the two, as ``[sync]`` says: after updates, and every second.
3. Who comes second finds that both have gone on, and merges: of nearest neighbours all examples. The other one is given that.

``two_devices.py`` does so without daemons, for weights too. The place between is a folder by default; ``--between`` takes any that a store
can be in (``s3://bucket/models``, ``https://...``).

Run it as ``python examples/two_daemons.py [--between PLACE] [--models FOLDER] [--output FOLDER]``, with ``pip install 'tailor[daemon]'``.
Exits with 1 where a check fails.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
from daemon_process import LONG, daemon_in, learned, quoted, show_checks
from drawings import DRAWING, drawings, make_classifier
from PIL import Image

from tailor.client import Client, NewExample

USER = "ada"
EACH = 6
DRAWN = {"A": ("circle", "cross"), "B": ("square", "stripes")}
SHAPES = [shape for shapes in DRAWN.values() for shape in shapes]


def settings_of(device: str, between: str, model: Path) -> str:
    """What the daemon of a device is told."""
    return f"""device = "device {device}"

[updates]
examples = {2 * EACH}

[models.{DRAWING}]
path = {quoted(model)}

[sync]
interval = 1
remotes = [{{ place = {quoted(between)} }}]
"""


async def draw(client: Client, device: str) -> None:
    """What Ada draws on a device; waits until that has learned it."""
    for shape in DRAWN[device]:
        pictures = [{"drawing": Image.fromarray(pixels), "label": shape} for pixels in drawings(shape, EACH, seed=ord(device))]
        await client.add_examples(DRAWING, USER, [NewExample(features=one) for one in pictures])
    await learned(client, DRAWING, USER, 2 * EACH)


async def taken_for(client: Client) -> list[str]:
    """What new drawings are taken for, one of each shape."""
    told = await client.predict(DRAWING, USER, [{"drawing": Image.fromarray(drawings(shape, 1, seed=7)[0])} for shape in SHAPES])
    return [str(output["label"]) for output in told.outputs]


async def level(clients: list[Client]) -> list[str]:
    """Waits until all have the same last version, which two others were merged to, as syncs come; that version's parents."""
    with anyio.fail_after(LONG):
        async for _ in clients[0].events(after=0):
            heads = [(await client.history(DRAWING, USER, most=1))[0] for client in clients]
            if len({head.identifier for head in heads}) == 1 and len(heads[0].parents) == 2:
                return heads[0].parents
    return []


async def show(folder: Path, between: str, model: Path) -> bool:
    """All of it; true where every check passed."""
    async with (
        daemon_in(folder / "A", settings_of("A", between, model)) as first,
        daemon_in(folder / "B", settings_of("B", between, model)) as second,
    ):
        clients = [first.client, second.client]
        async with anyio.create_task_group() as group:
            for device, client in zip(DRAWN, clients, strict=True):
                group.start_soon(draw, client, device)
        alone = [(await client.history(DRAWING, USER))[-1] for client in clients]
        print(f"1. Each device has learned {2 * EACH} drawings of its own")
        parents = await level(clients)
        print(f"2. They were synced through {between}")
        merges = [event.text for client in clients for event in await client.log(most=1000) if event.kind == "versions_merged"]
        print("".join(f"   {text}\n" for text in merges), end="")
        answers = [await taken_for(client) for client in clients]
        print(f"3. On either, new drawings of {', '.join(SHAPES)} are taken for {', '.join(answers[0])}")
    return show_checks(
        {
            "each learned something of its own": len({version.identifier for version in alone}) == 2,
            "what both ended with was merged of these two": sorted(parents) == sorted(version.identifier for version in alone),
            "one of them merged, and told of it": len(merges) >= 1,
            "device A knows what was drawn on B, and B what was drawn on A": answers == [SHAPES, SHAPES],
        }
    )


def main() -> int:
    """Reads the command line and runs the example; the exit code."""
    parser = argparse.ArgumentParser(description="The daemons of two devices end with the same models.")
    parser.add_argument("--between", help="the place between them: a folder, a file or a URL (default: a new folder)")
    parser.add_argument("--models", type=Path, help=f"a folder with {DRAWING}.mlmodel (default: a small one is made)")
    parser.add_argument("--output", type=Path, help="a new folder for both devices (default: one that is removed again)")
    given = parser.parse_args()
    with TemporaryDirectory() as temporary:
        folder = (given.output or Path(temporary)).absolute()
        model = given.models / f"{DRAWING}.mlmodel" if given.models else make_classifier(Path(temporary))
        return 0 if anyio.run(show, folder, given.between or str(folder / "between"), model.absolute()) else 1


if __name__ == "__main__":
    sys.exit(main())
