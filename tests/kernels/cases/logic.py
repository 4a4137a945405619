from __future__ import annotations

import numpy as np

from .case import Case, Message, by_torch, numbers

WHOLE = np.array([[0.0, 1.0, 2.0], [1.0, -1.0, 1.0]])
ORDER = {"equal": "eq", "notEqual": "ne", "lessThan": "lt", "lessEqual": "le", "greaterThan": "gt", "greaterEqual": "ge"}
WITH_ONE = {
    "equal": [[0, 1, 0], [1, 0, 1]],
    "notEqual": [[1, 0, 1], [0, 1, 0]],
    "lessThan": [[1, 0, 0], [0, 1, 0]],
    "lessEqual": [[1, 1, 0], [1, 1, 1]],
    "greaterThan": [[0, 0, 1], [0, 0, 0]],
    "greaterEqual": [[0, 1, 1], [1, 0, 1]],
}
TRUTH = {"logicalOr": [0, 1, 1, 1], "logicalXor": [0, 1, 1, 0], "logicalAnd": [0, 0, 0, 1]}
FIRST, SECOND = np.array([0.0, 0.0, 2.0, -0.5]), np.array([0.0, 1.0, 0.0, 3.0])

CASES = (
    *(
        Case(op, (WHOLE,), np.array(answer, "f8"), Message(alpha=1.0), {"alpha": 1.0}, note="alpha, literal")
        for op, answer in WITH_ONE.items()
    ),
    *(
        Case(
            op,
            (WHOLE, np.array([0.0, 1.0, 1.0])),
            by_torch(lambda t, f, a, b, name=name: getattr(t, name)(a, b).double()),
            Message(alpha=0.0),
            {"alpha": 0.0},
            note="two, lower rank",
        )
        for op, name in ORDER.items()
    ),
    *(Case(op, (FIRST, SECOND), np.array(answer, "f8"), Message(), note="literal") for op, answer in TRUTH.items()),
    *(
        Case(op, (FIRST.reshape(4, 1), SECOND[:3]), np.array(answer, "f8"), Message(), note="both are broadcast")
        for op, answer in {
            "logicalOr": [[0, 1, 0], [0, 1, 0], [1, 1, 1], [1, 1, 1]],
            "logicalXor": [[0, 1, 0], [0, 1, 0], [1, 0, 1], [1, 0, 1]],
            "logicalAnd": [[0, 0, 0], [0, 0, 0], [0, 1, 0], [0, 1, 0]],
        }.items()
    ),
    Case("logicalNot", (FIRST,), np.array([1.0, 1.0, 0.0, 0.0]), Message(), note="literal"),
    Case("logicalNot", (numbers(2, 1, 3, 1, 2),), np.zeros((2, 1, 3, 1, 2)), Message(), note="rank 5"),
)
