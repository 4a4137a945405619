"""Tree ensembles here and where they were trained: the same trees, the same rows, in turns; medians and ratios.

    python benchmarks/trees.py [--seconds 5] [--threads 2] [--trees 1000] [--rows 10000]

Boosted trees and a random forest of scikit-learn, and boosted trees of XGBoost where it is installed, put node by node into
a model; answers are compared first. Predicting is ``MLModel.predict`` of a list of examples, and ``predict`` of an array.
Prints a Markdown table; a ratio below 1 means that tailor is faster. Needs scikit-learn.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np
from sklearn.datasets import make_regression
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor

from tailor import MLModel, MLModelConfiguration
from tailor.kernels import Array
from tailor.runtime.format import Model, array_feature, double_feature, write_floats

FEATURES, SAMPLES, DEPTH, GOAL = 28, 2000, 6, 2.0
LESS_EQUAL, LESS, LEAF = 0, 1, 6

PAUSE = 0.02
"""Seconds before each turn, in which the threads of the one before go to sleep."""


def of_scikit_learn(trees: list[Any], scale: float, base: float) -> Model:
    """Trees of scikit-learn, their values times ``scale``, added to ``base``."""
    model, nodes = regressor(base)
    for number, tree in enumerate(trees):
        columns = (tree.children_left, tree.children_right, tree.feature, tree.threshold, tree.value[:, 0, 0] * scale)
        for node, (left, right, feature, value, leaf) in enumerate(zip(*(column.tolist() for column in columns), strict=True)):
            if left < 0:
                nodes.add(treeId=number, nodeId=node, nodeBehavior=LEAF).evaluationInfo.add(evaluationValue=leaf)
            else:
                nodes.add(
                    treeId=number,
                    nodeId=node,
                    nodeBehavior=LESS_EQUAL,
                    branchFeatureIndex=feature,
                    branchFeatureValue=value,
                    trueChildNodeId=left,
                    falseChildNodeId=right,
                )
    return model


def of_xgboost(booster: Any) -> Model:
    """Trees of XGBoost, whose numbers are float32."""
    model, nodes = regressor(0.5)

    def below(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield node
        for child in node.get("children", ()):
            yield from below(child)

    for number, text in enumerate(booster.get_dump(dump_format="json")):
        for node in below(json.loads(text)):
            made = nodes.add(treeId=number, nodeId=node["nodeid"])
            if "leaf" in node:
                made.nodeBehavior = LEAF
                made.evaluationInfo.add(evaluationValue=float(np.float32(node["leaf"])))
            else:
                made.nodeBehavior = LESS
                made.branchFeatureIndex = int(node["split"].lstrip("f"))
                made.branchFeatureValue = float(np.float32(node["split_condition"]))
                made.trueChildNodeId, made.falseChildNodeId = node["yes"], node["no"]
                made.missingValueTracksTrueChild = node["missing"] == node["yes"]
    return model


def regressor(base: float) -> tuple[Model, Any]:
    """A regressor without trees, and where its nodes go."""
    model = Model(specificationVersion=1)
    model.description.input.append(array_feature("x", (FEATURES,), "float64"))
    model.description.output.append(double_feature("y"))
    model.description.predictedFeatureName = "y"
    ensemble = model.treeEnsembleRegressor.treeEnsemble
    ensemble.numPredictionDimensions = 1
    write_floats(ensemble, "basePredictionValue", [base])
    return model, ensemble.nodes


def row(name: str, spec: Model, predict: Callable[[Array], Array], x: Array, threads: int, seconds: float) -> str:
    """The two in turns, for ``seconds``."""
    model = MLModel.from_spec(spec, configuration=MLModelConfiguration(threads=threads))
    rows = [{"x": example} for example in x]
    begin = time.perf_counter()
    model.predict(rows[0])
    print(
        f"{name}: {len(spec.treeEnsembleRegressor.treeEnsemble.nodes)} nodes, ready in {time.perf_counter() - begin:.1f} s", file=sys.stderr
    )
    np.testing.assert_allclose([answer["y"] for answer in model.predict(rows)], predict(x), rtol=1e-4, atol=1e-3)
    runs: tuple[Callable[[], object], Callable[[], object]] = (lambda: model.predict(rows), lambda: predict(x))
    times: tuple[list[float], list[float]] = ([], [])
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[0]) < 3:
        for run, found in zip(runs, times, strict=True):
            time.sleep(PAUSE)
            begin = time.perf_counter()
            run()
            found.append((time.perf_counter() - begin) * 1e3)
    cells = [f"{statistics.median(found):.0f} ({min(found):.0f})" for found in times]
    ratios = [f"{least(times[0]) / least(times[1]):.2f}" for least in (statistics.median, min)]
    return f"| {name} | " + " | ".join((*cells, *ratios)) + f" | {GOAL:.1f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5.0, help="for each line of the table")
    parser.add_argument("--threads", type=int, default=2, help="for each engine")
    parser.add_argument("--trees", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=10_000)
    chosen = parser.parse_args()
    x, y = make_regression(SAMPLES + chosen.rows, FEATURES, noise=1.0, random_state=0)
    x = x.astype(np.float32).astype(np.float64)  # what all of them round to
    samples, answers, rows = x[:SAMPLES], y[:SAMPLES], x[SAMPLES:]
    print(f"{chosen.rows} rows of {FEATURES} numbers, {chosen.trees} trees, threads: {chosen.threads}. Milliseconds: median (minimum).\n")
    print("| trees | tailor | peer | tailor / peer: medians | minima | goal |")
    print("|---|---:|---:|---:|---:|---:|")

    boosted = GradientBoostingRegressor(n_estimators=chosen.trees, max_depth=DEPTH, subsample=0.5, random_state=0, init="zero")
    boosted.fit(samples, answers)
    spec = of_scikit_learn([tree.tree_ for tree in boosted.estimators_[:, 0]], boosted.learning_rate, 0.0)
    print(row("scikit-learn, boosted", spec, boosted.predict, rows, chosen.threads, chosen.seconds), flush=True)

    forest = RandomForestRegressor(chosen.trees, max_features=8, random_state=0, n_jobs=chosen.threads).fit(samples, answers)
    spec = of_scikit_learn([tree.tree_ for tree in forest.estimators_], 1 / chosen.trees, 0.0)
    print(row("scikit-learn, random forest", spec, forest.predict, rows, chosen.threads, chosen.seconds), flush=True)

    if find_spec("xgboost") is not None:
        import xgboost

        made = xgboost.XGBRegressor(n_estimators=chosen.trees, max_depth=DEPTH, n_jobs=chosen.threads, base_score=0.5, tree_method="hist")
        made.fit(samples, answers)
        print(row("XGBoost, boosted", of_xgboost(made.get_booster()), made.predict, rows, chosen.threads, chosen.seconds), flush=True)


if __name__ == "__main__":
    main()
