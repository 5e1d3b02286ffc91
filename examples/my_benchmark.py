"""A benchmark of your own: is a number in the sequence repeated later?

Try it with `seqtune check examples/my_benchmark.py:Repeated`, and search on it with
`seqtune run --benchmark examples/my_benchmark.py:Repeated`.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trainers.benchmarks import Benchmark
from trainers.data.dataset import Dataset, Sequences, Split
from trainers.tasks import Classification


@dataclass(frozen=True, kw_only=True)
class Repeated(Benchmark):
    """Tokens from 0 to 99; the class says whether one of them occurs twice.

    Attributes:
        length: Tokens of a sequence.
    """

    name = "repeated"
    summary = "whether a token of a sequence is repeated"
    task = "classification"
    metric = "accuracy"
    splits = "generated: 2,000 / 500 / 500 sequences"

    length: int = 12

    def prepare(self, folder: Path) -> Dataset:
        """Nothing is read: every sequence is drawn, with a seed for each split."""
        splits = [self._draw(count, seed) for seed, count in enumerate((2000, 500, 500))]
        return Dataset(self.name, Classification(vocabulary=100, classes=2), *splits, {})

    def _draw(self, count: int, seed: int) -> Split:
        tokens = np.random.default_rng(seed).integers(0, 100, (count, self.length))
        distinct = np.array([len(set(row)) for row in tokens.tolist()])
        repeated = (distinct < self.length).astype(np.int64)
        return Split(Sequences.from_array(tokens), Sequences.from_array(repeated[:, None]))
