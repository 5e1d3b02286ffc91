"""Tables for people in terminals of any width."""

import pytest
from rich.cells import cell_len

from search.results.tables import Block, to_terminal

BLOCK = Block(
    title="prices",
    headings=["place", "fruit", "price", "weight", "year"],
    words=frozenset({"fruit"}),
    cells=[["1", "pear", "2.50", "0.125 kg", "1999"], ["2", "apple", "1.25", "0.250 kg", "2001"]],
    notes=["A note."],
)


def test_a_wide_terminal_shows_every_column() -> None:
    lines = to_terminal([BLOCK], width=80).splitlines()
    assert lines[0] == "prices"
    assert [line.split() for line in lines if "apple" in line] == [
        ["2", "apple", "1.25", "0.250", "kg", "2001"]
    ]
    assert lines[-1] == " A note."


@pytest.mark.parametrize("width", range(20, 60))
def test_a_narrow_one_leaves_whole_columns_out_and_says_which(width: int) -> None:
    lines = to_terminal([BLOCK], width=width).splitlines()
    assert max(cell_len(line) for line in lines) <= width
    row = next(line for line in lines if "apple" in line)
    shown = [word for word in ("price", "weight", "year") if word in lines[2]]
    assert ("1.25" in row, "0.250 kg" in row, "2001" in row) == tuple(
        word in shown for word in ("price", "weight", "year")
    )
    missing = [word for word in ("price", "weight", "year") if word not in shown]
    text = " ".join(" ".join(lines).split())
    assert (f"In a wider terminal: {', '.join(missing)}." in text) == bool(missing)


def test_words_wrap_and_are_never_left_out() -> None:
    words = "a sentence that is much longer than the terminal is wide"
    block = Block("t", ["name", "meaning"], frozenset({"name", "meaning"}), [["x", words]])
    text = to_terminal([block], width=30)
    assert " ".join(text.split()).count("sentence") == 1
    assert "wide" in text
    assert "In a wider terminal" not in text
