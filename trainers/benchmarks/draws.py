"""Random numbers that are the same with every version of NumPy, for data that must not change."""

import numpy as np


class Draws:
    """A stream of random numbers from the raw bits of PCG64.

    NumPy promises these bits for ever, but not what its `Generator` makes of them.

    Args:
        key: The seed and what the numbers are for; another key, an unrelated stream.

    Reference:
        NumPy Enhancement Proposal 19, "Random number generator policy".
    """

    def __init__(self, *key: int) -> None:
        self._bits = np.random.PCG64(list(key))

    def uniform(self, *shape: int) -> np.ndarray:
        """float64 in [0, 1)."""
        return ((self._raw(*shape) >> np.uint64(11)) * 2.0**-53).astype(np.float64)

    def below(self, bound: int, *shape: int) -> np.ndarray:
        """int64 from 0 to `bound` - 1, even to within `bound` / 2**64."""
        return (self._raw(*shape) % np.uint64(bound)).astype(np.int64)

    def permutation(self, count: int) -> np.ndarray:
        """The numbers 0 to `count` - 1 in random order."""
        return np.argsort(self._raw(count), kind="stable")

    def _raw(self, *shape: int) -> np.ndarray:
        bits: np.ndarray = self._bits.random_raw(int(np.prod(shape))).reshape(shape)
        return bits
