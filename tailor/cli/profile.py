"""``tailor profile``: where a prediction's time and memory go, layer by layer."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer

from tailor import MLLayer, MLModel, MLModelConfiguration
from tailor.runtime.network import Step, watching

from .made_up import made_up
from .predict import one_example
from .profile_page import print_profile
from .terminal import print_json

Seen = tuple[tuple[str, ...], Step]


def profile(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A .mlmodel file or .mlpackage folder.", show_default=False)],
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            "-i",
            metavar="NAME=VALUE",
            help="One input, as 'tailor predict' takes it; those not given are made up.",
            show_default=False,
        ),
    ] = None,
    batch: Annotated[int, typer.Option("--batch", min=1, help="How many examples to predict at once.")] = 1,
    repeat: Annotated[int, typer.Option("--repeat", min=1, help="How many predictions to measure, after one that is not.")] = 10,
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Threads to use, at most.", show_default=False)] = None,
    in_order: Annotated[bool, typer.Option("--in-order", help="Layers in the order in which they run, not by time.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Everything as one JSON object.")] = False,
) -> None:
    """Show where a prediction's time and memory go, by layer.

    Times are medians over the predictions measured. Layers that run as one are one row; of a pipeline each network has a
    table.

    \b
    Example: tailor profile MobileNet.mlmodel
             tailor profile MobileNet.mlmodel --batch 16 --threads 1 --in-order
             tailor profile Drawing.mlmodel --input drawing=cat.png --json
    """
    loaded = MLModel(model, MLModelConfiguration(threads=threads))
    given = one_example(loaded.description.input_descriptions_by_name, inputs or [])
    facts = measured(loaded, made_up(loaded, given, batch), repeat)
    if as_json:
        print_json(facts)
    else:
        print_profile(facts, in_order)


def measured(model: MLModel, examples: Sequence[Mapping[str, object]], repeat: int) -> dict[str, Any]:
    """What ``--json`` shows: predicts once for the plans and compiled code, then ``repeat`` times under observation."""
    model.predict(examples)
    runs: list[list[Seen]] = []
    seconds: list[float] = []
    for _ in range(repeat):
        seen: list[Seen] = []
        begin = time.perf_counter()
        with watching(partial(_note, seen)):
            model.predict(examples)
        seconds.append(time.perf_counter() - begin)
        runs.append(seen)
    wholes: dict[tuple[str, ...], list[float]] = {(): seconds}
    for models, step in runs[0]:
        if step.kind == "model":
            path = (*models, step.name)
            wholes[path] = [sum(other.seconds for up, other in run if (*up, other.name) == path and other.kind == "model") for run in runs]
    parts = [(path, part) for path, part in _parts((), model) if path in wholes]
    return {
        "name": model.name,
        "type": model.model_type,
        "batch": len(examples),
        "repeat": repeat,
        "seconds": median(seconds),
        "leastSeconds": min(seconds),
        "models": [_part(path, part, wholes[path], runs) for path, part in parts if len(parts) == 1 or not part.models],
    }


def _note(seen: list[Seen], models: tuple[str, ...], step: Step) -> None:
    """Called by several threads, which ``append`` bears."""
    seen.append((models, step))


def _parts(path: tuple[str, ...], model: MLModel) -> list[tuple[tuple[str, ...], MLModel]]:
    """A model and, of a pipeline, the models in it, with the names that lead to them."""
    return [(path, model), *(row for name, part in model.models for row in _parts((*path, name), part))]


def _part(path: tuple[str, ...], model: MLModel, seconds: list[float], runs: list[list[Seen]]) -> dict[str, Any]:
    """One model: its layers in the order in which they ran, its kinds of layers, its sums."""
    layers = model.layers
    runs_here = [[step for models, step in run if models == path and step.kind != "model"] for run in runs]
    steps: dict[tuple[str, ...], list[Step]] = {}
    for step in runs_here[0]:
        steps.setdefault(step.outputs or (step.name,), []).append(step)
    rows = []
    for key, same in steps.items():
        times = [sum(step.seconds for step in run if (step.outputs or (step.name,)) == key) for run in runs_here]
        rows.append(_row(same, median(times), covered(layers, same[0])))
    total = sum(row["seconds"] for row in rows)
    for row in rows:
        row["share"] = row["seconds"] / total if total else 0.0
    run = {name for row in rows for name in row["layers"]}
    return {
        "name": "/".join(path) if path else model.name,
        "type": model.model_type,
        "seconds": median(seconds),
        "layerSeconds": total,
        "outputBytes": sum(row["outputBytes"] for row in rows),
        "weightBytes": sum(row["weightBytes"] for row in rows),
        "mostBytesHeld": max((step.held for step in runs_here[0]), default=0),
        "multiplyAdds": sum(row["multiplyAdds"] for row in rows),
        "layers": rows,
        "kinds": _kinds(rows),
        "layersNotRun": [layer.name for layer in layers if layer.name not in run],
    }


def _row(steps: list[Step], seconds: float, layers: list[MLLayer]) -> dict[str, Any]:
    """One step, over the portions in which the examples were run."""
    first = steps[0]
    work = sum(step.work for step in steps)
    kinds = Counter(layer.kind for layer in layers) or Counter([first.kind])
    return {
        "name": first.name,
        "layers": [layer.name for layer in layers] or [first.name],
        "kind": " + ".join(kinds),
        "seconds": seconds,
        "outputShapes": [list(shape) for shape in first.shapes],
        "outputBytes": sum(step.made for step in steps),
        "weightBytes": max(step.weights for step in steps),
        "multiplyAdds": work,
        "gflops": 2e-9 * work / seconds if seconds else 0.0,
    }


def _kinds(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows summed by kind, longest first."""
    kinds: dict[str, dict[str, Any]] = {}
    for row in rows:
        kind = kinds.setdefault(row["kind"], {"kind": row["kind"], "count": 0, "seconds": 0.0, "share": 0.0, "multiplyAdds": 0})
        kind["count"] += 1
        for key in ("seconds", "share", "multiplyAdds"):
            kind[key] += row[key]
    for kind in kinds.values():
        kind["gflops"] = 2e-9 * kind["multiplyAdds"] / kind["seconds"] if kind["seconds"] else 0.0
    return sorted(kinds.values(), key=lambda kind: -kind["seconds"])


def covered(layers: Sequence[MLLayer], step: Step) -> list[MLLayer]:
    """The layers that ``step`` stands for: back from what it makes to what it takes.

    Values that a network writes again have names like ``x#1`` where it runs, and their own in its layers.
    """
    written = {name for layer in layers for name in layer.outputs}

    def plain(name: str) -> str:
        return name if name in written else name.rpartition("#")[0] or name

    given = {plain(name) for name in step.inputs}
    first = next((place for place, layer in enumerate(layers) if layer.name == step.name and layer.kind == step.kind), 0)
    wanted = [(plain(name), len(layers)) for name in step.outputs]
    found: set[int] = set()
    while wanted:
        name, before = wanted.pop()
        place = next((at for at in reversed(range(before)) if name in layers[at].outputs), None)
        if place is None or place in found or place < first:
            continue
        found.add(place)
        wanted += [(value, place) for value in layers[place].inputs if value not in given]
    return [layers[place] for place in sorted(found)]
