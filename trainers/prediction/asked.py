"""What a file asks of a trained model: inputs as in training, and what the answers are called."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trainers.benchmarks.scaling import Scaler
from trainers.data.dataset import Sequences

Kept = Mapping[str, Any]
"""`Dataset.preprocessing` of the data that a model was trained on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The examples of a file, in its order.

    Attributes:
        sequences: The inputs, prepared by what was fitted in training; nothing is fitted here.
        keys: Columns that say which example is which, a value for each.
        steps: Columns that say which step of an answer is which: for each example, its steps.
        scalers: The scale of each example's answer, where they differ.
        unknown: Words that the model does not know.
        words: All words.
    """

    sequences: Sequences
    keys: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    steps: Mapping[str, Sequence[Sequence[Any]]] = field(default_factory=dict)
    scalers: Sequence[Scaler] = ()
    unknown: int = 0
    words: int = 0


def numbered(examples: int, name: str = "row") -> dict[str, Sequence[Any]]:
    """Keys of examples that have no names: they count from 1."""
    return {name: range(1, examples + 1)}
