"""Generated problems that ask for nothing but memory; the same numbers for everybody."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from trainers.benchmarks.benchmark import Benchmark, check_range
from trainers.benchmarks.draws import Draws
from trainers.data.dataset import SPLITS, Dataset, Sequences, Split
from trainers.tasks import Classification, Regression, Tagging

LICENCE = "none needed: generated"


@dataclass(frozen=True, kw_only=True)
class Generated(Benchmark):
    """Examples drawn from a fixed seed, each split from a stream of its own."""

    licence = LICENCE
    seed: ClassVar[int]

    train_examples: int = 10_000
    valid_examples: int = 1_000
    test_examples: int = 1_000

    def __post_init__(self) -> None:
        for split in SPLITS:
            check_range(f"{split}_examples", getattr(self, f"{split}_examples"), 1)

    def draws(self, split: str) -> tuple[Draws, int]:
        """The stream of a split and its number of examples."""
        return Draws(self.seed, SPLITS.index(split)), getattr(self, f"{split}_examples")


@dataclass(frozen=True, kw_only=True)
class Adding(Generated):
    """The sum of the two marked numbers among `length` numbers from [0, 1).

    Inputs are (number, 1 if marked else 0). Markers stand at two different places, each pair as
    likely as another. Causal: published models read forwards only, and one that also reads
    backwards has half the lag to bridge.

    Attributes:
        length: Steps of a sequence.

    Reference:
        Hochreiter & Schmidhuber, "Long short-term memory", Neural Computation 9(8), 1997, section
        5.4, in the form of Bai, Kolter & Koltun 2018.
    """

    name = "adding"
    summary = "the sum of the two marked numbers in a long sequence"
    task = "regression"
    metric = "mse"
    splits = "50,000 / 5,000 / 5,000 sequences unless set, generated from seed 1997"
    published = (
        "mse 5.3e-5 at length 600, a GRU of 70,000 parameters; TCN 5.8e-5, LSTM 0.164, and always "
        "answering 1 has 0.167 (Bai, Kolter & Koltun 2018, table 1)"
    )
    seed = 1997

    length: int = 200
    train_examples: int = 50_000
    valid_examples: int = 5_000
    test_examples: int = 5_000

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("length", self.length, 2)

    def prepare(self, folder: Path) -> Dataset:
        """Inputs (length, 2) float32; the sum of the rounded numbers, in float32."""
        return Dataset(
            name=self.name,
            task=Regression(input_size=2, causal=True),
            train=self._split("train"),
            valid=self._split("valid"),
            test=self._split("test"),
            preprocessing={},
        )

    def _split(self, split: str) -> Split:
        draws, examples = self.draws(split)
        rows = np.arange(examples)
        first = draws.below(self.length, examples)
        second = (first + 1 + draws.below(self.length - 1, examples)) % self.length
        inputs = np.zeros((examples, self.length, 2), dtype=np.float32)
        inputs[:, :, 0] = draws.uniform(examples, self.length)
        inputs[rows, first, 1] = inputs[rows, second, 1] = 1.0
        sums = inputs[rows, first, 0] + inputs[rows, second, 0]
        return Split(Sequences.from_array(inputs), Sequences.from_array(sums[:, None]))


@dataclass(frozen=True, kw_only=True)
class CopyMemory(Generated):
    """Ten symbols, a long pause, then the same ten symbols from memory.

    Inputs are 10 symbols of 1 to 8, `length` - 1 blanks (0) and 11 markers (9), of which the first
    says that it is time; targets are blanks until the last 10 steps, which repeat the symbols. The
    metric is the mean over all `length` + 20 steps. Causal: read backwards, the lag is gone.

    Attributes:
        length: The pause, in steps.

    Reference:
        Arjovsky, Shah & Bengio, "Unitary evolution recurrent neural networks", ICML 2016, in the
        form of Bai, Kolter & Koltun 2018.
    """

    name = "copy_memory"
    summary = "ten symbols repeated from memory after a long pause"
    task = "tagging"
    metric = "log_loss"
    splits = "10,000 / 1,000 / 1,000 sequences unless set, generated from seed 2016"
    published = (
        "3.5e-5 nats per step at length 1000, a TCN of 16,000 parameters; GRU 0.0197, LSTM 0.0204, "
        "and guessing has 10 ln 8 / (length + 20) = 0.0204 (Bai, Kolter & Koltun 2018, table 1)"
    )
    seed = 2016

    length: int = 200

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("length", self.length, 1)

    def prepare(self, folder: Path) -> Dataset:
        """Tokens 0 to 9 in and classes 0 to 8 out, uint8."""
        return Dataset(
            name=self.name,
            task=Tagging(vocabulary=10, classes=9, causal=True),
            train=self._split("train"),
            valid=self._split("valid"),
            test=self._split("test"),
            preprocessing={},
        )

    def _split(self, split: str) -> Split:
        draws, examples = self.draws(split)
        symbols = 1 + draws.below(8, examples, 10)
        inputs = np.zeros((examples, self.length + 20), dtype=np.uint8)
        inputs[:, :10] = symbols
        inputs[:, -11:] = 9
        targets = np.zeros_like(inputs)
        targets[:, -10:] = symbols
        return Split(Sequences.from_array(inputs), Sequences.from_array(targets))


@dataclass(frozen=True, kw_only=True)
class Parity(Generated):
    """Whether a string of bits has an odd number of ones.

    Train strings have 1 to `length` bits, valid and test strings `length` + 1 to 2 x `length`, so
    that what scores is the rule and not strings learnt by heart.

    Attributes:
        length: Bits of the longest train string.

    Reference:
        Deletang et al., "Neural networks and the Chomsky hierarchy", ICLR 2023, whose train strings
        have 1 to 40 bits and test strings up to 500.
    """

    name = "parity"
    summary = "whether a string of bits has an odd number of ones; test strings are longer"
    task = "classification"
    metric = "accuracy"
    splits = (
        "10,000 / 1,000 / 1,000 strings unless set, generated from seed 2023; "
        "valid and test strings are longer than those of train"
    )
    published = (
        "none on these strings; Deletang et al. (ICLR 2023) find that recurrent networks carry the "
        "rule over to longer strings and Transformers do not"
    )
    seed = 2023

    length: int = 40

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("length", self.length, 1)

    def prepare(self, folder: Path) -> Dataset:
        """Tokens 0 and 1, uint8; class 1 is odd."""
        return Dataset(
            name=self.name,
            task=Classification(vocabulary=2, classes=2),
            train=self._split("train", shortest=1),
            valid=self._split("valid", shortest=self.length + 1),
            test=self._split("test", shortest=self.length + 1),
            preprocessing={"classes": ["even", "odd"]},
        )

    def _split(self, split: str, shortest: int) -> Split:
        draws, examples = self.draws(split)
        lengths = shortest + draws.below(self.length, examples)
        bits = draws.below(2, int(lengths.sum())).astype(np.uint8)
        starts = np.cumsum(lengths) - lengths
        odd = np.add.reduceat(bits.astype(np.int64), starts) % 2
        return Split(Sequences(bits, starts, lengths), Sequences.from_array(odd[:, None]))
