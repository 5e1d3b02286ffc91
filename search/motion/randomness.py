"""Keyed randomness: a draw depends on what it is for, never on how many draws came before."""

import hashlib
import json


def key(seed: int, *purpose: int | str) -> int:
    """A 64-bit number that depends on `seed` and `purpose` alone, in whatever process."""
    text = json.dumps([seed, *purpose])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
