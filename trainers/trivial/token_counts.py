"""What counting tells of the next token: from all tokens alike, or from those after the last."""

from collections.abc import Callable, Iterator

import numpy as np

Pairs = tuple[np.ndarray, np.ndarray]
"""Tokens and the token after each, (steps,) int64."""
Nats = Callable[[Pairs], np.ndarray]
"""(steps,): how surprising every next token is."""


def counted_tokens(train: Pairs, tokens: int) -> Iterator[tuple[str, Nats]]:
    """Predictors from counts of `train`, each with its name.

    What was never counted is not impossible: the tokens together start from one that is even over
    all tokens, and those after each token from one that is as frequent as it is anywhere.

    Args:
        tokens: Number of different tokens.
    """
    shares = (np.bincount(train[1], minlength=tokens) + 1 / tokens) / (len(train[1]) + 1)
    yield "token frequencies", lambda pairs: -np.log(shares[pairs[1]])

    cells, counts = np.unique(train[0] * tokens + train[1], return_counts=True)
    before = np.bincount(train[0], minlength=tokens)

    def after(pairs: Pairs) -> np.ndarray:
        asked = pairs[0] * tokens + pairs[1]
        places = np.minimum(np.searchsorted(cells, asked), len(cells) - 1)
        count = np.where(cells[places] == asked, counts[places], 0)
        nats: np.ndarray = -np.log((count + shares[pairs[1]]) / (before[pairs[0]] + 1))
        return nats

    yield "token frequencies after the last token", after
