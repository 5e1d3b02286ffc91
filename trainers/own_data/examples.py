"""Examples with one answer each: series or texts on one side, classes or numbers on the other."""

import hashlib
import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy as np

from trainers.benchmarks.scaling import Scaler
from trainers.benchmarks.vocabulary import Vocabulary
from trainers.data.dataset import Sequences
from trainers.spelling import spelt

TOKEN: Final = re.compile(r"\w+|[^\w\s]")
"""Every sign that is neither letter nor digit is a word."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """The inputs of all examples.

    Attributes:
        task_fields: What the task must know of them: `input_size` or `vocabulary`.
        preprocessing: For `Dataset.preprocessing`.
    """

    sequences: Sequences
    task_fields: dict[str, int]
    preprocessing: dict[str, Any]


class Examples(Protocol):
    """What the answers are about."""

    def inputs(self, is_train: np.ndarray) -> Inputs:
        """Scaled, or as numbers of a vocabulary, by what train alone says.

        Args:
            is_train: (examples,) bool.
        """

    def keys(self) -> list[Hashable]:
        """Something that only equal examples share."""

    def summary(self) -> str:
        """How many there are, and how long."""


@dataclass(frozen=True, slots=True)
class SeriesExamples:
    """Series that may differ in length.

    Attributes:
        values: (steps, features) of all series, one after the other.
        lengths: (examples,)
    """

    values: np.ndarray
    lengths: np.ndarray

    @property
    def starts(self) -> np.ndarray:
        """(examples,) the first step of each."""
        starts: np.ndarray = np.cumsum(self.lengths) - self.lengths
        return starts

    def inputs(self, is_train: np.ndarray) -> Inputs:
        """See `Examples`; every feature has mean 0 and deviation 1 over the steps of train."""
        scaler = Scaler.fit(self.values[np.repeat(is_train, self.lengths)])
        return Inputs(
            self.scaled(scaler),
            {"input_size": self.values.shape[1]},
            {"scaler": scaler.to_json()},
        )

    def scaled(self, scaler: Scaler) -> Sequences:
        """What a model is given."""
        return Sequences(scaler.apply(self.values), self.starts, self.lengths)

    def keys(self) -> list[Hashable]:
        """See `Examples`."""
        return [
            hashlib.blake2b(part.tobytes(), digest_size=16).digest()
            for part in np.split(self.values, self.starts[1:])
        ]

    def summary(self) -> str:
        """See `Examples`."""
        features = self.values.shape[1]
        return (
            f"{len(self.lengths):,} sequences of {span(self.lengths)} steps with {features} "
            f"feature{'' if features == 1 else 's'}"
        )


@dataclass(frozen=True, slots=True)
class TextExamples:
    """Texts, read word by word, as `TOKEN` says."""

    texts: list[str]
    _sentences: list[list[str]] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_sentences", words_of(self.texts, TOKEN.pattern))

    def inputs(self, is_train: np.ndarray) -> Inputs:
        """See `Examples`; words that are not at least twice in train are unknown."""
        known = Vocabulary.build(self._sentences[place] for place in np.flatnonzero(is_train))
        return Inputs(
            encoded(self._sentences, known),
            {"vocabulary": len(known)},
            {"vocabulary": known.to_json(), "words": TOKEN.pattern},
        )

    def keys(self) -> list[Hashable]:
        """See `Examples`."""
        return [*self.texts]

    def summary(self) -> str:
        """See `Examples`."""
        lengths = np.array([len(sentence) for sentence in self._sentences])
        return f"{len(lengths):,} texts of {span(lengths)} words"


def words_of(texts: Sequence[str], pattern: str) -> list[list[str]]:
    """The words of each text: all that `pattern` finds."""
    words = re.compile(pattern)
    return [words.findall(text) for text in texts]


def encoded(
    sentences: Sequence[Sequence[str]], known: Vocabulary, *, with_spelling: bool = False
) -> Sequences:
    """Sentences as numbers of a vocabulary, and of how each word is spelt where that is wanted."""
    tokens = [known.encode(sentence) for sentence in sentences]
    if with_spelling:
        tokens = [spelt(*each) for each in zip(tokens, sentences, strict=True)]
    return Sequences.from_list(tokens)


def span(lengths: np.ndarray) -> str:
    """Such as `7` or `7 to 29`."""
    low, high = int(lengths.min()), int(lengths.max())
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def sorted_classes(names: Sequence[str], codes: np.ndarray) -> tuple[list[str], np.ndarray]:
    """The classes in the order of numbers, where all are whole numbers, else of the alphabet."""
    numeric = all(re.fullmatch(r"-?\d+", name) for name in names)
    order = sorted(range(len(names)), key=lambda place: int(names[place]) if numeric else 0)
    if not numeric:
        order.sort(key=lambda place: names[place])
    ranks = np.empty(len(names), dtype=np.int64)
    ranks[order] = np.arange(len(names))
    return [names[place] for place in order], ranks[codes]
