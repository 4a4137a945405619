"""What a checkpoint after every mini-batch costs an epoch of MNIST_Model, written asynchronously.

Epochs with and without take turns, so that whatever else the machine does falls on both; medians are compared. Each is a whole
update, the waiting for what is still being written at its end included. A checkpoint falls due after every mini-batch; how many are
written is told, for together they may cost a twentieth of one processor's time. Model and digits are those of
``update_epoch.py``, with their fallbacks. Prints a Markdown table. Needs PyTorch, for ``update_epoch.py`` does.

    python benchmarks/checkpoint.py [--turns 9] [--images 5000] [--threads 2] [--folder /somewhere]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import anyio
from update_epoch import digits, model

from tailor import Checkpoint, MLArrayBatchProvider, MLCheckpoints, MLModel, MLModelConfiguration, MLUpdateTask
from tailor import MLParameterKey as Key
from tailor.runtime.update import saving

GOAL = 1.1


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("--turns", type=int, default=9, help="epochs timed of each (one more, first, is not)")
    arguments.add_argument("--images", type=int, default=5000, help="in an epoch")
    arguments.add_argument("--threads", type=int, default=2, help="for the training")
    arguments.add_argument("--folder", default=None, help="where the checkpoint is written")
    chosen = arguments.parse_args()
    pixels, labels = digits(chosen.images)
    data = MLArrayBatchProvider({"image": pixels, "output_true": labels})
    configuration = MLModelConfiguration(parameters={Key.EPOCHS: 1, Key.SEED: 1}, threads=chosen.threads)
    base = MLModel.from_spec(model(), "MNIST_Model")
    sizes: list[int] = []
    write = saving.write_checkpoint

    def counted(path: Path, checkpoint: Checkpoint) -> None:
        write(path, checkpoint)
        sizes.append(path.stat().st_size)

    saving.write_checkpoint = counted  # type: ignore[assignment]

    async def epoch(checkpoints: MLCheckpoints | None) -> float:
        begin = time.perf_counter()
        await MLUpdateTask(base, data, configuration, checkpoints=checkpoints)
        return time.perf_counter() - begin

    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        path = Path(folder) / "checkpoint.tailor"
        each = {"without": None, "with": MLCheckpoints(path, every_batches=1)}
        seconds: dict[str, list[float]] = {name: [] for name in each}
        for turn in range(chosen.turns + 1):
            sizes.clear()
            for name, checkpoints in each.items():
                seconds[name].append(anyio.run(epoch, checkpoints))
            print(f"turn {turn}: {', '.join(f'{name} {times[-1]:.3f} s' for name, times in seconds.items())}", file=sys.stderr)
    without, with_them = (seconds[name][1:] for name in each)
    ratios = [after / before for before, after in zip(without, with_them, strict=True)]
    batches = -(-chosen.images // int(base.parameter(Key.MINI_BATCH_SIZE)))  # type: ignore[arg-type]
    size = max(sizes, default=0) / 1e6
    print(f"An epoch of {chosen.images} digits in {batches} mini-batches, threads: {chosen.threads}; a checkpoint is {size:.1f} MB.\n")
    print("| turns | without: median s | with: median s | written in the last turn | median of ratios | ratio of medians | goal |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    medians = statistics.median(without), statistics.median(with_them)
    cells = [
        f"{medians[0]:.3f}",
        f"{medians[1]:.3f}",
        str(len(sizes)),
        f"{statistics.median(ratios):.3f}",
        f"{medians[1] / medians[0]:.3f}",
    ]
    print(f"| {chosen.turns} | {' | '.join(cells)} | {GOAL:.2f} |")


if __name__ == "__main__":
    main()
