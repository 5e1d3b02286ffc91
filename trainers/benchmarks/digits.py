"""scikit-learn's bundled handwritten digits, read row by row or pixel by pixel."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from sklearn.datasets import load_digits

from trainers.benchmarks.benchmark import Benchmark
from trainers.benchmarks.scaling import Scaler
from trainers.benchmarks.splitting import hold_out
from trainers.benchmarks.vocabulary import END
from trainers.data.dataset import Dataset, Sequences, Split
from trainers.tasks import Captioning, Classification, Task

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


class _Digits(Benchmark):
    """1,797 images of 8 by 8 pixels, 17 levels of grey, from 43 writers."""

    splits = (
        "a fifth of every digit for test, then a quarter of every digit's rest for valid: "
        "1,076 / 362 / 359 images, drawn once with seed 0"
    )
    licence = "CC BY 4.0 (UCI, Optical Recognition of Handwritten Digits); bundled by scikit-learn"

    def _dataset(
        self, task: Task, targets_of: Callable[[np.ndarray], Sequences], preprocessing: Any
    ) -> Dataset:
        """Images of 64 pixels, as many a step as `task` says, scaled by one mean and deviation."""
        digits = load_digits()
        images = digits.images.astype(np.float32).reshape(len(digits.target), -1, task.input_size)
        rest, test = hold_out(digits.target, 1 / 5)
        kept, valid = hold_out(digits.target[rest], 1 / 4)
        train, valid = rest[kept], rest[valid]
        scaler = Scaler.fit(images[train].reshape(-1, 1))
        everything = Split(Sequences.from_array(scaler.apply(images)), targets_of(digits.target))
        return Dataset(
            name=self.name,
            task=task,
            train=everything.select(train),
            valid=everything.select(valid),
            test=everything.select(test),
            preprocessing={"scaler": scaler.to_json(), **preprocessing},
        )


class _DigitClasses(_Digits):
    """Which digit it is."""

    task = "classification"
    metric = "accuracy"
    published = (
        "none as a sequence; scikit-learn's default support vector machine on the whole image, "
        "fitted on this train split, reaches accuracy 0.989 on this test split (computed here)"
    )
    steps: ClassVar[int]

    def prepare(self, folder: Path) -> Dataset:
        """Images of `steps` parts each."""
        return self._dataset(
            Classification(input_size=64 // self.steps, classes=10),
            lambda digits: Sequences.from_array(digits.astype(np.int64)[:, None]),
            {"classes": [str(digit) for digit in range(10)]},
        )


class DigitsRows(_DigitClasses):
    """An image is 8 steps, from top to bottom, of the 8 pixels of a row."""

    name = "digits_rows"
    summary = "which digit an 8 by 8 image shows, read in 8 rows of 8 pixels"
    steps = 8


class DigitsPixels(_DigitClasses):
    """An image is 64 steps of one pixel, row by row."""

    name = "digits_pixels"
    summary = "which digit an 8 by 8 image shows, read pixel by pixel in 64 steps"
    steps = 64


@dataclass(frozen=True, kw_only=True)
class DigitsSpelled(_Digits):
    """An image in, the letters of the digit's name out: captioning in miniature.

    Attributes:
        read_as: "vector" for one step of all 64 pixels, "rows" for 8 steps.

    Reference:
        Vinyals et al., "Show and tell: a neural image caption generator", CVPR 2015.
    """

    name = "digits_spelled"
    summary = "the name of the digit that an 8 by 8 image shows, letter by letter"
    task = "captioning"
    metric = "sequence_accuracy"
    published = (
        "none as letters; which digit it is, scikit-learn's default support vector machine, fitted "
        "on this train split, knows with accuracy 0.989 on this test split (computed here)"
    )

    read_as: str = "vector"

    def __post_init__(self) -> None:
        if self.read_as not in ("vector", "rows"):
            raise ValueError(f"`read_as` must be vector or rows, got {self.read_as!r}")

    def prepare(self, folder: Path) -> Dataset:
        """Letters in alphabetical order; after them, what ends a name."""
        letters = sorted(set("".join(NAMES)))
        end = len(letters)
        spelled = [np.array([*map(letters.index, name), end], dtype=np.uint8) for name in NAMES]
        return self._dataset(
            Captioning(
                input_size=64 if self.read_as == "vector" else 8,
                classes=end + 1,
                longest=max(map(len, spelled)),
            ),
            lambda digits: Sequences.from_list([spelled[digit] for digit in digits]),
            {"target_vocabulary": [*letters, END]},
        )
