"""Randomness by key: every random number follows from (seed, purpose, ...), never from a stream.

A stopped and resumed trial, and a trial trained together with others, then draw the same numbers
as one that ran alone from start to end.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def key(seed: int, *purpose: int | str) -> int:
    """Hash `seed` and what the numbers are for into 63 bits; the same on every machine.

    Args:
        purpose: Words and counters that tell one use from another, e.g. `"order", epoch`.

    Returns:
        An integer in [0, 2**63), so that it fits a signed 64-bit tensor.
    """
    text = repr([str(part) for part in (seed, *purpose)]).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little") >> 1


def generator(seed_key: int) -> torch.Generator:
    """A torch generator on the CPU that starts from `seed_key`."""
    return torch.Generator().manual_seed(seed_key)


@contextmanager
def torch_randomness(seed_key: int) -> Iterator[None]:
    """Inside the block torch's global CPU generator starts from `seed_key`; then it is put back.

    For code that knows no keys, such as `torch.nn.init` in a constructor.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed_key)
        yield
