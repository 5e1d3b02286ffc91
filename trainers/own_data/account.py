"""What was found in a user's data and what was made of it, in lines that people read."""

from dataclasses import dataclass, field
from typing import Any, Final

from trainers.data.dataset import Dataset

KEY: Final = "own_data"
"""Where `Dataset.preprocessing` keeps it."""


@dataclass(slots=True)
class Account:
    """Collected on the way from files to a data set.

    Attributes:
        lines: Facts and rules.
        warnings: What may make results look better than they are.
    """

    lines: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def say(self, *lines: str) -> None:
        """Facts and rules."""
        self.lines += lines

    def warn(self, line: str) -> None:
        """What may make results look better than they are."""
        self.warnings.append(line)

    def to_json(self) -> dict[str, Any]:
        """For `Dataset.preprocessing`."""
        return {"lines": self.lines, "warnings": self.warnings}


def describe(dataset: Dataset) -> list[str]:
    """Columns, types, counts, the rule and the sizes of the split, classes; then the warnings.

    Raises:
        ValueError: It is not a user's own data.
    """
    if KEY not in dataset.preprocessing:
        raise ValueError(f"{dataset.name} is not a user's own data: there is nothing to describe")
    account = dataset.preprocessing[KEY]
    return [*account["lines"], *(f"warning: {line}" for line in account["warnings"])]
