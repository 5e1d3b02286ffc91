"""Prepared data as NumPy arrays: what a benchmark gives and every worker maps."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from trainers.tasks import Task, task_from_json

SPLITS = ("train", "valid", "test")
LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True)
class Sequences:
    """Ragged sequences in one array; nothing is padded in storage, and windows may overlap.

    Args:
        values: (steps, size) features or (steps,) tokens and classes, in a compact type.
        starts: (examples,) int64, the first step of each example.
        lengths: (examples,) int64, its number of steps.

    Raises:
        ValueError: Shapes that do not fit, an example that is empty or leaves the array, or a value
            that is not finite.
    """

    values: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray

    def __post_init__(self) -> None:
        if self.values.ndim not in (1, 2):
            raise ValueError(f"values must be (steps,) or (steps, size), got {self.values.shape}")
        if self.starts.ndim != 1 or self.starts.shape != self.lengths.shape:
            shapes = f"{self.starts.shape} and {self.lengths.shape}"
            raise ValueError(f"starts and lengths must be (examples,) alike, got {shapes}")
        if not len(self.starts):
            raise ValueError("there must be at least one example, got none")
        self._check_examples()
        if self.values.dtype.kind == "f":
            self._check_values()

    def _check_values(self) -> None:
        """Models compute in float32, where a larger number would be infinite."""
        largest = min(LARGEST, float(np.finfo(self.values.dtype).max))
        # every worker comes by here, with data as large as its memory may be: nothing is copied
        ends = (self.values.min(), self.values.max()) if self.values.size else ()
        if all(abs(float(end)) <= largest for end in ends):  # false for NaN
            return
        fits = np.abs(self.values) <= largest  # false for NaN
        if not fits.all():
            step = int(np.argwhere(~fits)[0][0])
            raise ValueError(
                f"every value must be finite and at most {LARGEST:.1e}, got {self.values[step]} "
                f"at step {step}"
            )

    def _check_examples(self) -> None:
        ends = self.starts + self.lengths
        wrong = (self.lengths < 1) | (self.starts < 0) | (ends > len(self.values))
        if wrong.any():
            example = int(np.flatnonzero(wrong)[0])
            start, length = int(self.starts[example]), int(self.lengths[example])
            raise ValueError(
                f"every example must hold at least one of the {len(self.values)} steps, "
                f"got example {example} from {start} with length {length}"
            )

    def __len__(self) -> int:
        return len(self.starts)

    def example(self, index: int) -> np.ndarray:
        """The steps of one example: (length, size) or (length,), without a copy."""
        start = int(self.starts[index])
        return self.values[start : start + int(self.lengths[index])]

    @classmethod
    def from_list(cls, sequences: list[np.ndarray]) -> "Sequences":
        """Examples laid one after another."""
        lengths = np.array([len(sequence) for sequence in sequences], dtype=np.int64)
        starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64)
        return cls(np.concatenate(sequences), starts, lengths)

    @classmethod
    def from_array(cls, values: np.ndarray) -> "Sequences":
        """Examples of one length: (examples, time, size) or (examples, time)."""
        examples, time = values.shape[:2]
        starts = np.arange(examples, dtype=np.int64) * time
        lengths = np.full(examples, time, dtype=np.int64)
        return cls(values.reshape(examples * time, *values.shape[2:]), starts, lengths)

    def select(self, examples: np.ndarray) -> "Sequences":
        """Some of the examples, over the same values."""
        return Sequences(self.values, self.starts[examples], self.lengths[examples])


@dataclass(frozen=True, slots=True)
class Split:
    """Inputs and targets, example by example; a target of a whole sequence has length 1.

    Raises:
        ValueError: The two differ in their number of examples.
    """

    inputs: Sequences
    targets: Sequences

    def __post_init__(self) -> None:
        if len(self.inputs) != len(self.targets):
            raise ValueError(
                f"inputs and targets must be of the same number, "
                f"got {len(self.inputs)} and {len(self.targets)}"
            )

    def __len__(self) -> int:
        return len(self.inputs)

    def select(self, examples: np.ndarray) -> "Split":
        """Some of the examples."""
        return Split(self.inputs.select(examples), self.targets.select(examples))


@dataclass(frozen=True, slots=True)
class Dataset:
    """A task with its three splits and what was done to the raw data.

    Args:
        preprocessing: JSON that a later prediction needs: vocabulary, scaler, classes.
    """

    name: str
    task: Task
    train: Split
    valid: Split
    test: Split
    preprocessing: dict[str, Any]

    def to_parts(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """A JSON description, and the arrays that go to the object store, each array once."""
        arrays: dict[str, np.ndarray] = {}
        names: dict[int, str] = {}

        def place(array: np.ndarray, name: str) -> str:
            known = names.setdefault(id(array), name)
            arrays.setdefault(known, array)
            return known

        parts = {
            f"{split}/{side}/{field}": place(
                getattr(getattr(getattr(self, split), side), field), f"{split}/{side}/{field}"
            )
            for split in SPLITS
            for side in ("inputs", "targets")
            for field in ("values", "starts", "lengths")
        }
        description = {
            "name": self.name,
            "task": self.task.to_json(),
            "preprocessing": self.preprocessing,
            "parts": parts,
        }
        return description, arrays

    @classmethod
    def from_parts(cls, description: dict[str, Any], arrays: dict[str, np.ndarray]) -> "Dataset":
        """The data set again, over `arrays` as they are: read-only maps of shared memory."""
        parts = description["parts"]

        def sequences(prefix: str) -> Sequences:
            return Sequences(
                *(arrays[parts[f"{prefix}/{field}"]] for field in ("values", "starts", "lengths"))
            )

        splits = {
            split: Split(sequences(f"{split}/inputs"), sequences(f"{split}/targets"))
            for split in SPLITS
        }
        task = task_from_json(description["task"])
        return cls(
            name=description["name"],
            task=task,
            preprocessing=description["preprocessing"],
            **splits,
        )
