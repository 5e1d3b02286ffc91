"""How words are spelt: as numbers that words of like spelling share, and as vectors of a model."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby
from typing import Final
from zlib import crc32

import numpy as np
from torch import Tensor, nn

PREFIXES: Final = (1, 2, 3)
SUFFIXES: Final = (1, 2, 3, 4)
FEATURES: Final = len(PREFIXES) + len(SUFFIXES) + 1
"""Numbers of each word."""
ROWS: Final = 4096
"""From 0 to below this; different beginnings and ends may share one."""


@lru_cache(maxsize=1 << 16)
def spelling(word: str) -> tuple[int, ...]:
    """`FEATURES` numbers: of how the word begins, of how it ends, and of its shape.

    Beginnings and ends are in lower case; the shape is that of `Xx` for Paris and `X0` for B52.
    """
    small = word.lower()
    parts = [f"{count}<{small[:count]}" for count in PREFIXES]
    parts += [f"{count}>{small[-count:]}" for count in SUFFIXES]
    parts.append(f"={shape(word)}")
    return tuple(crc32(part.encode("utf-8", "surrogatepass")) % ROWS for part in parts)


def shape(word: str) -> str:
    """Letters as `x` or `X`, digits as `0`, of several alike in a row the first."""
    kinds = (
        "X" if sign.isupper() else "x" if sign.isalpha() else "0" if sign.isdigit() else sign
        for sign in word
    )
    return "".join(kind for kind, _ in groupby(kinds))


def spelt(tokens: np.ndarray, words: Sequence[str]) -> np.ndarray:
    """(words, 1 + FEATURES) int32: the token of each word, and its spelling."""
    numbers = np.array([spelling(word) for word in words], dtype=np.int32)
    return np.concatenate([tokens[:, None], numbers], axis=1, dtype=np.int32)


class SpeltEmbedding(nn.Module):
    """A vector for each word, and one for each number of its spelling, in one sum.

    Words that a vocabulary lacks have their spelling still, and rare ones learn from those like
    them.

    Args:
        tokens: Number of different tokens.
        size: Of the vectors.

    Reference:
        Bojanowski et al., "Enriching word vectors with subword information", TACL 2017, for the
        sum; Miranda et al., "Multi hash embeddings in spaCy", arXiv 2212.09255, for beginnings,
        ends and shape by hash.
    """

    def __init__(self, tokens: int, size: int) -> None:
        super().__init__()
        self.embedding_dim = size
        self.words = nn.Embedding(tokens, size)
        self.spelling = nn.Embedding(ROWS, size)
        nn.init.normal_(self.spelling.weight, std=FEATURES**-0.5)  # together as large as a word

    def forward(self, inputs: Tensor) -> Tensor:
        """(batch, time, 1 + FEATURES) -> (batch, time, size)."""
        y: Tensor = self.words(inputs[..., 0]) + self.spelling(inputs[..., 1:]).sum(-2)
        return y
