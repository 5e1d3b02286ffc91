"""A data set as large as one likes, for `perf.memory`: noise with random classes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trainers.benchmarks import Benchmark
from trainers.data.dataset import Dataset, Sequences, Split
from trainers.tasks import Classification

STEPS, FEATURES = 50, 64
EXAMPLE_BYTES = 4 * STEPS * FEATURES
FEW = 320


@dataclass(frozen=True, kw_only=True)
class MadeUp(Benchmark):
    """Few examples to validate and to test on; a large train split of which few are ever read.

    Attributes:
        megabytes: Of the whole array; all examples lie in it, and 320 of them are trained on.
    """

    name = "made_up"
    summary = "noise with random classes"
    task = "classification"
    metric = "accuracy"
    splits = "320 / 320 / 320 examples of one large array"

    megabytes: int = 300

    def prepare(self, folder: Path) -> Dataset:
        """Nothing is read."""
        rng = np.random.default_rng(0)
        examples = 1_000_000 * self.megabytes // EXAMPLE_BYTES
        values = rng.random((examples * STEPS, FEATURES), dtype=np.float32)
        classes = rng.integers(0, 10, examples)

        def split(first: int) -> Split:
            places = np.arange(first, examples, examples // FEW)[:FEW].astype(np.int64)
            inputs = Sequences(values, places * STEPS, np.full(len(places), STEPS))
            return Split(inputs, Sequences.from_array(classes[places][:, None]))

        task = Classification(input_size=FEATURES, classes=10)
        return Dataset(self.name, task, split(0), split(1), split(2), {})
