"""scikit-learn's bundled handwritten digits, read row by row or pixel by pixel."""

from pathlib import Path
from typing import ClassVar

import numpy as np
from sklearn.datasets import load_digits

from trainers.benchmarks.benchmark import Benchmark
from trainers.benchmarks.scaling import Scaler
from trainers.benchmarks.splitting import hold_out
from trainers.dataset import Dataset, Sequences, Split
from trainers.tasks import Classification


class _Digits(Benchmark):
    """1,797 images of 8 by 8 pixels, 17 levels of grey, from 43 writers."""

    task = "classification"
    metric = "accuracy"
    splits = (
        "a fifth of every digit for test, then a quarter of every digit's rest for valid: "
        "1,076 / 362 / 359 images, drawn once with seed 0"
    )
    licence = "CC BY 4.0 (UCI, Optical Recognition of Handwritten Digits); bundled by scikit-learn"
    published = (
        "none as a sequence; scikit-learn's default support vector machine on the whole image, "
        "fitted on this train split, reaches accuracy 0.989 on this test split (computed here)"
    )
    steps: ClassVar[int]

    def prepare(self, folder: Path) -> Dataset:
        """Images of `steps` parts each; all pixels are scaled by one mean and deviation."""
        digits = load_digits()
        images = digits.images.astype(np.float32).reshape(len(digits.target), self.steps, -1)
        rest, test = hold_out(digits.target, 1 / 5)
        kept, valid = hold_out(digits.target[rest], 1 / 4)
        train, valid = rest[kept], rest[valid]
        scaler = Scaler.fit(images[train].reshape(-1, 1))
        everything = Split(
            Sequences.from_array(scaler.apply(images)),
            Sequences.from_array(digits.target.astype(np.int64)[:, None]),
        )
        return Dataset(
            name=self.name,
            task=Classification(input_size=images.shape[2], classes=10),
            train=everything.select(train),
            valid=everything.select(valid),
            test=everything.select(test),
            preprocessing={"scaler": scaler.to_json(), "classes": [str(i) for i in range(10)]},
        )


class DigitsRows(_Digits):
    """An image is 8 steps, from top to bottom, of the 8 pixels of a row."""

    name = "digits_rows"
    summary = "which digit an 8 by 8 image shows, read in 8 rows of 8 pixels"
    steps = 8


class DigitsPixels(_Digits):
    """An image is 64 steps of one pixel, row by row."""

    name = "digits_pixels"
    summary = "which digit an 8 by 8 image shows, read pixel by pixel in 64 steps"
    steps = 64
