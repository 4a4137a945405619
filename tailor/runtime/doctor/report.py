"""What the doctor says: findings, the layers that could learn, and what was repaired; all of it data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class MLFindingSeverity(Enum):
    """Who minds: Core ML's own validator, tailor's update, or nobody, for it is worth knowing only."""

    CORE_ML_REFUSES = "Core ML refuses"
    TAILOR_REFUSES = "tailor refuses"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class MLFinding:
    """What keeps a model, or a part of it, from being updated.

    ``rule``   the rule's short name, as ``docs/doctor.md`` explains it.
    ``where``  the layer or field, after the model's name where it is one of a pipeline.
    """

    rule: str
    where: str
    expected: str
    got: str
    severity: MLFindingSeverity = MLFindingSeverity.CORE_ML_REFUSES

    def __str__(self) -> str:
        return f"{self.severity.value}: {self.where}: expected {self.expected}, got {self.got} [{self.rule}]"


@dataclass(frozen=True, slots=True)
class MLTrainableLayer:
    """A layer with parameters, and what stands between the loss and it.

    ``parameters``  how many numbers it has; ``stored``: ``float32``, ``float16`` or ``quantised``, or several of them.
    ``marked``      whether the model has it learn.
    ``between``     the layers on the way from the loss that have no gradient in Core ML's update.
    ``core_ml``     why Core ML's update cannot train it, once it is marked; empty where it can.
    ``tailor``      why tailor cannot; empty where it can, with ``MLModelConfiguration(trainable=...)`` where Core ML cannot.
    """

    name: str
    kind: str
    parameters: int
    stored: str
    marked: bool
    between: tuple[str, ...]
    core_ml: str
    tailor: str


@dataclass(frozen=True, slots=True)
class MLTrainability:
    """Whether a model can be updated, and what keeps it from it.

    ``learner``  the model that learns: the last one of a pipeline, by its names; empty where it is the model itself.
    ``marked``   whether the model says of itself that it is updatable.
    ``loss``     what is made small; where the model has no loss, the one that its output suggests.
    ``layers``   the network's layers with parameters, in order; empty for other types.
    """

    model: str
    kind: str
    learner: str
    marked: bool
    loss: str
    findings: tuple[MLFinding, ...]
    layers: tuple[MLTrainableLayer, ...]

    @property
    def accepted_by_core_ml(self) -> bool:
        """Whether Core ML's own rules take it as an updatable model."""
        return not any(finding.severity is MLFindingSeverity.CORE_ML_REFUSES for finding in self.findings)

    @property
    def accepted_by_tailor(self) -> bool:
        """Whether tailor updates it as it stands."""
        return not any(finding.severity is MLFindingSeverity.TAILOR_REFUSES for finding in self.findings)

    def __str__(self) -> str:
        core_ml, tailor = ("yes" if yes else "no" for yes in (self.accepted_by_core_ml, self.accepted_by_tailor))
        lines = [f"{self.model} ({self.kind}): updatable by Core ML's rules: {core_ml}; by tailor: {tailor}"]
        return "\n".join([*lines, *(f"  {finding}" for finding in self.findings)])


@dataclass(frozen=True, slots=True)
class MLRepair:
    """One repair: what was changed, and its proof.

    ``layers``      what it is about: names of layers, or fields.
    ``applied``     whether it is part of the repaired model; ``remark`` says why not, or what else there is to say.
    ``difference``  the largest difference between the outputs before and after, on inputs made up from the description;
                    ``None`` where nothing that is computed was changed, or where it could not be proven.
    """

    name: str
    layers: tuple[str, ...]
    applied: bool
    difference: float | None = None
    remark: str = ""

    def __str__(self) -> str:
        told = "" if self.difference is None else f" (outputs differ by {self.difference:.2g})"
        outcome = "done" if self.applied else "NOT done"
        return f"{outcome}: {self.name}: {', '.join(self.layers)}{told}{': ' if self.remark else ''}{self.remark}"


@dataclass(frozen=True, slots=True)
class MLRepairReport:
    """What was repaired, and how the model stood before and stands after it."""

    repairs: tuple[MLRepair, ...]
    before: MLTrainability
    after: MLTrainability

    def __str__(self) -> str:
        return "\n".join([*(f"{repair}" for repair in self.repairs), str(self.after)])
