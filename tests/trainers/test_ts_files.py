from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.benchmarks.ts_files import read_ts

HEADER = "@problemName Toy\n@univariate false\n@dimensions 2\n@classLabel true up down\n@data\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "toy.ts"
    path.write_text(text, "utf-8")
    return path


def test_cases_may_differ_in_length(tmp_path: Path) -> None:
    text = f"# about\n{HEADER}1,2,3:4,5,6:up\n\n-1.5:2e-3:down\n"
    series = read_ts(written(tmp_path, text))
    assert series.classes == ("up", "down")
    assert series.labels.tolist() == [0, 1]
    assert series.cases[0].tolist() == [[1, 4], [2, 5], [3, 6]]
    assert series.cases[1].tolist() == [[-1.5, 0.002]]


def test_tags_are_read_in_any_case_and_line_ends_may_be_of_windows(tmp_path: Path) -> None:
    text = "@UNIVARIATE true\r\n@CLASSLABEL TRUE 1 2\r\n@DATA\r\n1,2:2\r\n"
    series = read_ts(written(tmp_path, text))
    assert series.cases[0].tolist() == [[1], [2]]
    assert series.labels.tolist() == [1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            HEADER + "1,2:3,4:sideways\n",
            "line 6: the class must be one of up, down, got 'sideways'",
        ),
        (HEADER + "1,2:3,4:up\n1,2:up\n", "line 7: a case must have 2 channels, got 1"),
        (HEADER + "1,2:3:up\n", r"line 6: all channels .* of one length, got \[1, 2\]"),
        (HEADER + "1,x2:3,4:up\n", "line 6: a value must be a number, got 'x2'"),
        (HEADER + "1,?:3,4:up\n", "line 6: a value must be a number, got .* missing values"),
        (HEADER + "1,:3,4:up\n", "line 6: a value must be a number, got ''"),
        (HEADER + "1,nan:3,4:up\n", "line 6: every value must be finite"),
        (HEADER + "1,inf:3,4:up\n", "line 6: every value must be finite"),
        (HEADER, "at least one case after @data"),
        ("@classLabel true a b\n", "there must be a line @data"),
        ("@data\n1:2\n", "line 1: a line `@classLabel true A B ...` must name at least two"),
        ("@classLabel false\n@data\n1:2\n", "line 2: a line `@classLabel true A B"),
        ("@timeStamps true\n@classLabel true a b\n@data\n", "line 3: series with time stamps"),
        ("hello\n@data\n", "line 1: a line before @data must begin with # or @, got 'hello'"),
        ("@classLabel true a b\n@data\n1:a\n1:2:b\n", r"same channels, got \[1, 2\]"),
        (
            "@equalLength true\n@classLabel true a b\n@data\n1,2:a\n1:b\n",
            "promise cases of one length",
        ),
        (
            "@equalLength true\n@seriesLength 3\n@classLabel true a b\n@data\n1,2:a\n1,2:b\n",
            r"got \[2\] instead of 3",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        read_ts(written(tmp_path, text))
    assert "toy.ts" in str(caught.value)


values = st.floats(allow_nan=False, allow_infinity=False, width=32)


@given(
    st.lists(st.tuples(st.lists(st.tuples(values, values), min_size=1), st.booleans()), min_size=1)
)
def test_what_was_written_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    cases: list[tuple[list[tuple[float, float]], bool]],
) -> None:
    lines = [
        ":".join([",".join(map(repr, channel)) for channel in zip(*steps, strict=True)] + [label])
        for steps, is_up in cases
        for label in ["up" if is_up else "down"]
    ]
    series = read_ts(written(tmp_path_factory.mktemp("ts"), HEADER + "\n".join(lines)))
    assert series.labels.tolist() == [0 if is_up else 1 for _, is_up in cases]
    for case, (steps, _) in zip(series.cases, cases, strict=True):
        assert (case == np.array(steps)).all()
