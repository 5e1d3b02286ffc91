"""A column that marks what is out of the ordinary: yes and no, or a name for each occasion."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trainers.own_data.columns import MISSING, Place, Words, plain

UNMARKED: Final = ("0", "0.0", "false", "no", "none", "normal", *(one.lower() for one in MISSING))
"""What stands, or does not stand, in rows that are in order; capitals make no difference."""


@dataclass(slots=True)
class Marks(Words):
    """(rows,) codes of what rows are marked by; see `Words`."""

    def add(self, array: Any, place: Place) -> None:
        """See `Column`; an empty row is not marked."""
        array = plain(array)
        try:
            words = pc.utf8_trim_whitespace(pc.cast(array, pa.string()))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            words = array  # which is refused in its own words
        else:
            words = pc.fill_null(words, UNMARKED[0])
            words = pc.if_else(pc.equal(words, ""), UNMARKED[0], words)
        Words.add(self, words, place)

    @property
    def marked(self) -> np.ndarray:
        """(rows,) bool."""
        are = np.array([word.lower() not in UNMARKED for word in self.words])
        marked: np.ndarray = are[self.codes]
        return marked

    @property
    def summary(self) -> str:
        """See `Column`."""
        return f"{int(self.marked.sum()):,} of {len(self.codes):,} rows are marked"
