"""Words as numbers: a vocabulary that only the train split has a say in."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

UNKNOWN = "<unknown>"
UNKNOWN_CAPITALISED = "<Unknown>"
END = "<end>"


@dataclass(frozen=True)
class Vocabulary:
    """Words by number; all other words count as an unknown one.

    Attributes:
        words: The unknown word (0), the unknown capitalised word (1) where case is told apart, then
            the known ones.
    """

    words: tuple[str, ...]

    @classmethod
    def build(
        cls, sentences: Iterable[Sequence[str]], *, minimum_count: int = 2, cased: bool = True
    ) -> "Vocabulary":
        """The words of a train split, the most frequent first, equals in alphabetical order.

        Args:
            cased: Capitalised words that are not known are told from others.
            minimum_count: Rarer words are left out, so that a model meets unknown words, and learns
                what to make of them, in training.
        """
        counts = Counter(word for sentence in sentences for word in sentence)
        known = [word for word, count in counts.items() if count >= minimum_count]
        known.sort(key=lambda word: (-counts[word], word))
        return cls((UNKNOWN, *([UNKNOWN_CAPITALISED] if cased else []), *known))

    def __len__(self) -> int:
        return len(self.words)

    def encode(self, sentence: Sequence[str]) -> np.ndarray:
        """(words,) int32."""
        numbers, cased = self._numbers, self.words[1:2] == (UNKNOWN_CAPITALISED,)
        return np.array(
            [numbers.get(word, int(cased and word[:1].isupper())) for word in sentence],
            dtype=np.int32,
        )

    def count_unknown(self, sentences: Iterable[Sequence[str]]) -> int:
        """How many of all the words are unknown."""
        numbers = self._numbers
        return sum(word not in numbers for sentence in sentences for word in sentence)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words)}

    def to_json(self) -> list[Any]:
        """For `Dataset.preprocessing`."""
        return list(self.words)
