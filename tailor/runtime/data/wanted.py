"""Which features the examples must have, and may have."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from ..description import MLModelDescription
from ..errors import MLFeatureError
from ..values import MLFeatureDescription, MLFeatureType

_LABELS = (MLFeatureType.STRING, MLFeatureType.INT64)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The features to look for in data: those that an example must have (unless optional), and those that it may have.

    ``label`` is the string or int64 feature that says what an example is; None where that is not clear.
    """

    must: Mapping[str, MLFeatureDescription]
    may: Mapping[str, MLFeatureDescription]
    label: str | None

    @classmethod
    def for_update(cls, description: MLModelDescription) -> Wanted:
        """The training inputs."""
        must = description.training_input_descriptions_by_name
        labels = [name for name, feature in must.items() if feature.type in _LABELS]
        return cls(must, {}, labels[0] if len(labels) == 1 else None)

    @classmethod
    def for_prediction(cls, description: MLModelDescription) -> Wanted:
        """The inputs; the right answer and training inputs may be there too."""
        inputs = description.input_descriptions_by_name
        may = {name: feature for name, feature in description.training_input_descriptions_by_name.items() if name not in inputs}
        predicted = description.predicted_feature_name
        if predicted in inputs or predicted not in description.output_descriptions_by_name:
            return cls(inputs, may, None)
        return cls(inputs, {predicted: description.output_descriptions_by_name[predicted], **may}, predicted)

    @property
    def all(self) -> Mapping[str, MLFeatureDescription]:
        """Every feature that may be there."""
        return {**self.must, **self.may}

    def check_names(self, found: Collection[str], where: str, besides: Collection[str] = ()) -> None:
        """Raises ``MLFeatureError`` where a feature that must be there is missing, or one is there that the model has not.

        ``besides``: names of something else than features.
        """
        missing = [name for name, feature in self.must.items() if name not in found and not feature.optional]
        unknown = [name for name in found if name not in self.all and name not in besides]
        if missing or unknown:
            expected = _listed(self.must) + (f" (and {_listed(self.may)}, if you like)" if self.may else "")
            wrong = [f"{_listed(missing)} missing"] if missing else []
            wrong += [f"{_listed(unknown)} unknown to the model"] if unknown else []
            raise MLFeatureError(f"{where}: expected the features {expected}; {' and '.join(wrong)}")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names) or "none"
