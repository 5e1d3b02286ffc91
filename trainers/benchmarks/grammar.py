"""The embedded Reber grammar: which symbol comes next."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trainers.benchmarks.draws import Draws
from trainers.benchmarks.synthetic import Generated
from trainers.data.dataset import Dataset, Sequences, Split
from trainers.tasks import Tagging

SYMBOLS = "BTPSXVE"
# From each state of Reber's automaton: the one or two symbols that may come, equally likely, and
# where each leads; state 7 is the end.
REBER: tuple[tuple[tuple[str, int], ...], ...] = (
    (("B", 1),),
    (("T", 2), ("P", 3)),
    (("S", 2), ("X", 4)),
    (("T", 3), ("V", 5)),
    (("X", 3), ("S", 6)),
    (("P", 4), ("V", 6)),
    (("E", 7),),
)
END = 7


@dataclass(frozen=True, kw_only=True)
class EmbeddedReber(Generated):
    """B, then T or P, then a string of Reber's grammar, then the same T or P again, then E.

    At every step the next symbol is asked for. Most are decided by the symbols just before; the
    last but one by the second, from as long ago as the inner string is long. Causal.

    Reference:
        Hochreiter & Schmidhuber, "Long short-term memory", Neural Computation 9(8), 1997, section
        5.1.
    """

    name = "embedded_reber"
    summary = "the next symbol of a string with a beginning that returns at its end"
    task = "tagging"
    metric = "log_loss"
    splits = "10,000 / 1,000 / 1,000 strings unless set, generated from seed 1967"
    published = (
        "none in nats: papers count strings predicted without error; the best possible is "
        "7 ln 2 / 11 = 0.441 nats per step (computed from the grammar)"
    )
    seed = 1967

    def prepare(self, folder: Path) -> Dataset:
        """Tokens in the order of `SYMBOLS`, uint8; inputs and targets are views of one array."""
        return Dataset(
            name=self.name,
            task=Tagging(vocabulary=len(SYMBOLS), classes=len(SYMBOLS), causal=True),
            train=self._split("train"),
            valid=self._split("valid"),
            test=self._split("test"),
            preprocessing={"vocabulary": list(SYMBOLS), "classes": list(SYMBOLS)},
        )

    def _split(self, split: str) -> Split:
        draws, examples = self.draws(split)
        bits = _bits(draws)
        texts = [_embedded(bits) for _ in range(examples)]
        strings = Sequences.from_list(
            [np.array([SYMBOLS.index(symbol) for symbol in text], dtype=np.uint8) for text in texts]
        )
        lengths = strings.lengths - 1
        return Split(
            Sequences(strings.values, strings.starts, lengths),
            Sequences(strings.values, strings.starts + 1, lengths),
        )


def _bits(draws: Draws) -> Iterator[int]:
    while True:
        yield from draws.below(2, 4_096).tolist()


def _embedded(bits: Iterator[int]) -> str:
    frame = "TP"[next(bits)]
    return f"B{frame}{_reber(bits)}{frame}E"


def _reber(bits: Iterator[int]) -> str:
    text, state = "", 0
    while state != END:
        moves = REBER[state]
        symbol, state = moves[next(bits)] if len(moves) > 1 else moves[0]
        text += symbol
    return text
