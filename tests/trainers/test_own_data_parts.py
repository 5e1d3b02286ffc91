"""The parts that make a data set of a user's files: times, steps, splits, warnings, roles."""

from collections import Counter
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.data.dataset import Dataset, Sequences, Split
from trainers.own_data import OwnData, describe
from trainers.own_data.account import Account
from trainers.own_data.columns import Numbers, Texts, Words, kinds_in
from trainers.own_data.dividing import divide
from trainers.own_data.examples import sorted_classes
from trainers.own_data.files import read_lines
from trainers.own_data.leakage import warn_of_duplicates, warn_of_known_targets
from trainers.own_data.roles import IDS, TARGETS, Roles, given_roles
from trainers.own_data.steps import DAY, HOUR, MINUTE, SECOND, Step, infer_step
from trainers.own_data.times import Times
from trainers.tasks import Regression


def place(row: int) -> str:
    return f"file.csv, row {row + 1}"


def moments(*texts: str) -> np.ndarray:
    return np.array(texts, dtype="M8[ns]").astype(np.int64)


def one_series(times: np.ndarray) -> np.ndarray:
    begins = np.zeros(len(times), dtype=bool)
    begins[0] = True
    return begins


# times


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (["2024-01-31", "2024-02-01"], ["2024-01-31", "2024-02-01"]),
        (["2024-01-31 06:30", "2024-01-31T07:00:00"], ["2024-01-31T06:30", "2024-01-31T07:00"]),
        (["2024-01-31T06:30Z", "2024-01-31T07:30+02:00"], ["2024-01-31T06:30", "2024-01-31T05:30"]),
        (["20240131", " 20240201 "], ["2024-01-31", "2024-02-01"]),
        ([20240131, 20240201], ["2024-01-31", "2024-02-01"]),
        (["2024-01", "2024-02"], ["2024-01-01", "2024-02-01"]),
        (pa.array([19753, 19754], pa.date32()), ["2024-01-31", "2024-02-01"]),
        (pa.array([1706659200000], pa.timestamp("ms", "Europe/Berlin")), ["2024-01-31"]),
    ],
)
def test_dates_in_many_writings(column: object, expected: list[str]) -> None:
    times = Times("date")
    times.add(column if isinstance(column, pa.Array) else pa.array(column), place)
    assert times.are_dates
    assert (times.values == moments(*expected)).all()


@pytest.mark.parametrize("column", [["3", "5"], [3, 5], [3.0, 5.0], pa.array([3, 5], pa.uint8())])
def test_times_may_be_whole_numbers(column: object) -> None:
    times = Times("t")
    times.add(column if isinstance(column, pa.Array) else pa.array(column), place)
    assert not times.are_dates
    assert times.values.tolist() == [3, 5]
    assert times.show(5) == "5"
    assert times.summary == "times from 3 to 5"


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (["2024-01-31", "soon"], "row 2: column 'date' must hold dates such as .*, got 'soon'"),
        (["2024-01-31", "7"], "row 2: column 'date' must hold dates such as .*, got '7'"),
        (["7", "2024-01-31"], "row 2: column 'date' must hold whole numbers, got '2024-01-31'"),
        (["2024-02-30"], "row 1: column 'date' must hold dates such as .*, got '2024-02-30'"),
        ([0.5], "row 1: column 'date' must hold dates .*, or whole numbers, got '0.5'"),
        ([True], "row 1: column 'date' must hold dates .*, or whole numbers, got 'True'"),
        (["2024-01-31", None], "row 2: column 'date' must have a value in every row, got nothing"),
    ],
)
def test_what_is_no_time_is_refused(column: list[object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Times("date").add(pa.array(column), place)


def test_batches_of_times_are_of_one_kind() -> None:
    times = Times("t")
    times.add(pa.array(["1", "2"]), place)
    with pytest.raises(ValueError, match="must hold whole numbers, got '2024-01-31'"):
        times.add(pa.array(["2024-01-31"]), place)


def test_dates_are_shown_as_short_as_they_are() -> None:
    times = Times("t", are_dates=True)
    shown = [times.show(int(time)) for time in moments("2024-01-31", "2024-01-31T06:30:00")]
    assert shown == ["2024-01-31", "2024-01-31 06:30"]
    assert times.show(int(moments("2024-01-31T06:30:05")[0])) == "2024-01-31 06:30:05"


# steps


@pytest.mark.parametrize(
    ("times", "step", "words", "season"),
    [
        (("2024-01-01T00", "2024-01-01T01", "2024-01-01T02"), Step("time", HOUR), "1 hour", 24),
        (("2024-02-28", "2024-02-29", "2024-03-01"), Step("time", DAY), "1 day", 7),
        (("2024-01-01", "2024-01-08", "2024-01-15"), Step("time", 7 * DAY), "1 week", 52),
        (("2024-01-01", "2024-02-01", "2024-03-01"), Step("month", 1), "1 month", 12),
        (("2023-11-30", "2023-12-31", "2024-01-31", "2024-02-29"), Step("month", 1), "1 month", 12),
        (("2024-01-15", "2024-04-15", "2024-07-15"), Step("month", 3), "3 months", 4),
        (("2020-06-01", "2021-06-01", "2022-06-01"), Step("month", 12), "12 months", 1),
        (("2024-01-04", "2024-01-05", "2024-01-08"), Step("weekday", 1), "1 weekday", 5),
        (("2024-01-01T00:00", "2024-01-01T00:15"), Step("time", 15 * MINUTE), "15 minutes", 96),
        (("2024-01-01T00:00", "2024-01-01T00:01"), Step("time", MINUTE), "1 minute", 60),
        (
            ("2024-01-01T00:00:00", "2024-01-01T00:00:10"),
            Step("time", 10 * SECOND),
            "10 seconds",
            6,
        ),
        (("2024-01-01", "2024-01-04", "2024-01-07"), Step("time", 3 * DAY), "3 days", 1),
    ],
)
def test_the_step_of_dates(times: tuple[str, ...], step: Step, words: str, season: int) -> None:
    values = moments(*times)
    found = infer_step(values, one_series(values), are_dates=True)
    assert (found.unit, found.words, found.season) == (step.unit, words, season)
    assert (found.counts(values) == 1).all()
    assert found.places(values, int(values[0])).tolist() == list(range(len(times)))
    assert [found.following(int(time)) for time in values[:-1]] == values[1:].tolist()


@pytest.mark.parametrize(
    ("times", "step", "after"),
    [
        (("2023-01-28", "2023-02-28"), Step("month", 1), ("2023-03-28", "2023-04-28")),
        (("2023-01-31", "2023-02-28"), Step("month", 1), ("2023-03-31", "2023-04-30")),
        (("2023-07-31", "2023-08-31"), Step("month", 1), ("2023-09-30", "2023-10-31")),
        (("2023-07-01T06",), Step("month", 3), ("2023-10-01T06", "2024-01-01T06")),
        (("2024-02-29T23",), Step("time", HOUR), ("2024-03-01T00", "2024-03-01T01")),
        (("2024-03-07", "2024-03-08"), Step("weekday", 1), ("2024-03-11", "2024-03-12")),
    ],
)
def test_times_go_on(times: tuple[str, ...], step: Step, after: tuple[str, ...]) -> None:
    assert step.after(moments(*times), 2).tolist() == moments(*after).tolist()


def test_the_step_of_whole_numbers() -> None:
    values = np.array([10, 15, 20, 30])
    step = infer_step(values, one_series(values), are_dates=False)
    assert (step, step.words, step.season) == (Step("number", 5), "5", 1)
    assert step.counts(values).tolist() == [1, 1, 2]
    assert step.following(20) == 25


def test_the_step_is_that_of_most_rows_within_series() -> None:
    values = moments("2024-01-01", "2024-01-02", "2024-01-03", "2024-01-07", "2020-01-01")
    begins = np.array([True, False, False, False, True])
    step = infer_step(values, begins, are_dates=True)
    assert step == Step("time", DAY)
    assert step.counts(values).tolist()[:3] == [1, 1, 4]
    lonely = infer_step(values[:1], begins[:1], are_dates=True)
    assert lonely == Step("time", DAY)


@given(
    st.sampled_from([Step("time", HOUR), Step("time", DAY), Step("month", 1), Step("month", 3)])
    | st.just(Step("weekday", 1)),
    st.dates(date(1950, 1, 1), date(2050, 1, 1)).filter(lambda day: day.weekday() < 5),
    st.integers(4, 40),
)
def test_a_series_made_step_by_step_has_that_step(step: Step, day: date, count: int) -> None:
    values = [int(np.datetime64(str(day), "ns").astype(np.int64))]
    while len(values) < count:
        values.append(step.following(values[-1]))
    times = np.array(values)
    assert (np.diff(times) > 0).all()
    if step.unit == "month" and day.day in (28, 29, 30):
        return  # not in every month, or its last day only in some years
    assert (step.counts(times) == 1).all()
    assert step.places(times, values[0]).tolist() == list(range(count))


# columns


def test_numbers_of_many_types() -> None:
    for column, expected in (
        (pa.array(["1", " 2.5 ", "-1e3"]), [1, 2.5, -1000]),
        (pa.array([1, 2]), [1, 2]),
        (pa.array([True, False]), [1, 0]),
        (pa.array(["true", "False"]), [1, 0]),
        (pa.array(["1", "2"]).dictionary_encode(), [1, 2]),
        (pa.array(["1.5"], pa.large_string()), [1.5]),
    ):
        numbers = Numbers("n")
        numbers.add(column, place)
        assert numbers.values.tolist() == expected


def test_words_are_numbered_as_they_are_met_over_all_batches() -> None:
    words = Words("w")
    words.add(pa.array(["b", "a", "b"]), place)
    words.add(pa.array([" a", "c"]), place)
    assert words.codes.tolist() == [0, 1, 0, 1, 2]
    assert words.words == ["b", "a", "c"]
    assert (words.summary, words.show(4)) == ("3 different words", "'c'")
    with pytest.raises(ValueError, match="row 2: column 'w' must have a value in every row, got n"):
        words.add(pa.array(["a", None]), place)
    with pytest.raises(ValueError, match="column 't' must hold text, got list"):
        Texts("t").add(pa.array([[1], [2]]), place)


def test_what_columns_seem_to_hold() -> None:
    batch = pa.record_batch(
        {
            "a": ["1", "", "NA"],
            "b": ["2024-01-01", "2024-01-02", ""],
            "c": ["1", "x", "2"],
            "d": [1.5, None, 2.0],
            "e": pa.array([1, 2, 3], pa.date32()),
            "f": [[1], [2], [3]],
            "g": ["", "", ""],
        }
    )
    kinds = kinds_in(batch)
    assert list(kinds.values())[:5] == ["number", "time", "word", "number", "time"]
    assert kinds["f"].startswith("list")
    assert kinds["g"] == "word"


# roles


def test_a_role_is_inferred_only_where_one_column_fits() -> None:
    kinds = {"date": "time", "Y": "number", "value": "number", "id": "word", "x": "number"}
    roles = Roles(Path("f.csv"), kinds)
    assert roles.only("time", "time") == "date"
    assert roles.named("target", TARGETS) is None  # two of them
    assert roles.named("id", IDS) == "id"
    assert roles.give("target", ["Y"]) == ("Y",)
    assert roles.rest("features", "number") == ("value", "x")
    assert roles.words() == [
        "time: date (inferred)",
        "target: Y",
        "features: value (inferred), x (inferred)",
        "id: id (inferred)",
    ]


def test_given_columns_keep_their_roles() -> None:
    own = OwnData(data=("f.csv",), task="forecasting", horizon=2, target=("a",), id="b", time="c")
    roles = given_roles(own, Path("f.csv"), dict.fromkeys("abcd", "number"))
    assert roles.taken == {"a": "target", "b": "id", "c": "time"}
    assert roles.left() == ["d"]


# splits


def own(**fields: object) -> OwnData:
    return OwnData.from_mapping({"data": "f.csv", "task": "classification", **fields})


shares = st.floats(0.05, 0.45)


@given(st.lists(st.integers(3, 40), min_size=2, max_size=5), shares, shares, st.integers(0, 99))
def test_every_class_is_in_every_split(
    counts: list[int], valid: float, test: float, seed: int
) -> None:
    codes = np.repeat(np.arange(len(counts)), counts)
    names = [str(code) for code in range(len(counts))]
    described = own(valid_share=valid, test_share=test, seed=seed)
    division = divide(described, np.zeros_like(codes), classes=(codes, names))
    for code, count in enumerate(counts):
        held = Counter(division.splits[codes == code].tolist())
        assert set(held) == {0, 1, 2}
        assert held[1] <= max(1, valid * count + 0.5)
        assert held[2] <= max(1, test * count + 0.5)


@given(st.lists(st.integers(0, 9), min_size=3, max_size=80), shares, shares, st.integers(0, 99))
def test_no_group_is_in_two_splits(groups: list[int], valid: float, test: float, seed: int) -> None:
    codes = np.array(groups)
    described = own(valid_share=valid, test_share=test, seed=seed, group="g")
    if len(set(groups)) < 3:
        with pytest.raises(ValueError, match="at least 3 groups"):
            divide(described, np.zeros_like(codes), groups=codes)
        return
    splits = divide(described, np.zeros_like(codes), groups=codes).splits
    assert set(splits.tolist()) == {0, 1, 2}
    assert all(len(set(splits[codes == group].tolist())) == 1 for group in set(groups))


@given(st.integers(3, 200), shares, shares)
def test_examples_at_random(count: int, valid: float, test: float) -> None:
    described = own(valid_share=valid, test_share=test)
    division = divide(described, np.zeros(count, dtype=np.int64))
    held = Counter(division.splits.tolist())
    assert set(held) == {0, 1, 2}
    assert held[1] in (max(1, int(valid * count + 0.5)), count - 2)
    assert "at random, with seed 0" in division.rule


def test_files_are_the_splits_that_they_are() -> None:
    parts = np.array([0, 0, 0, 0, 1, 2])
    both = divide(own(valid="v.csv", test="t.csv"), parts)
    assert both.splits.tolist() == parts.tolist()
    only_test = divide(own(test="t.csv"), np.array([0, 0, 0, 0, 2]))
    assert Counter(only_test.splits.tolist()) == {0: 3, 1: 1, 2: 1}
    assert only_test.splits[4] == 2
    assert only_test.rule.endswith("; test is a file of its own")


def test_classes_are_in_the_order_of_numbers_or_of_the_alphabet() -> None:
    names, codes = sorted_classes(["10", "9", "-1"], np.array([0, 1, 2]))
    assert (names, codes.tolist()) == (["-1", "9", "10"], [2, 1, 0])
    names, codes = sorted_classes(["b", "a", "10"], np.array([0, 1, 2]))
    assert (names, codes.tolist()) == (["10", "a", "b"], [2, 1, 0])


# warnings


def test_duplicates_are_counted_by_split() -> None:
    account = Account()
    splits = np.array([0, 0, 1, 1, 2, 2])
    warn_of_duplicates(["a", "b", "b", "c", "c", "d"], splits, account)
    assert [warning.split(":")[0] for warning in account.warnings] == [
        "1 of 2 valid examples are in train, too, value for value",
        "1 of 2 test examples are in train or valid, too, value for value",
    ]
    quiet = Account()
    warn_of_duplicates(["a", "a", "b", "c"], np.array([0, 0, 1, 2]), quiet)
    assert quiet.warnings == []


def known_targets(values: np.ndarray, known: np.ndarray, codes: np.ndarray) -> list[str]:
    account = Account()
    columns = (values[:, None], known[:, None])
    warn_of_known_targets([Numbers("y")], [Numbers("k")], columns, codes, 3, account)
    return account.warnings


def test_a_covariate_that_gives_the_target_away() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(size=200)
    codes = np.repeat([0, 1], 100)
    halves = y.reshape(2, 100)

    def shifted(lag: int) -> np.ndarray:
        return np.roll(halves, lag, axis=1).ravel()

    assert known_targets(y, y, codes)[0].startswith("future covariate 'k' equals the target 'y':")
    assert known_targets(y, 100 - 3 * y, codes) == []  # the other way round is not the same
    assert known_targets(y, 100 + 3 * y, codes) != []
    assert known_targets(y, rng.normal(size=200), codes) == []
    assert known_targets(np.zeros(200), np.zeros(200), codes) == []
    almost = shifted(2)
    almost[[0, 1, 100, 101]] = halves[:, -2:].ravel()
    assert "2 steps before" in known_targets(y, almost, codes)[0]
    assert "1 steps later" in known_targets(y, shifted(-1), codes)[0]
    assert known_targets(y, shifted(4), codes) == []  # beyond the horizon


def test_only_own_data_are_described() -> None:
    one = Sequences.from_array(np.zeros((1, 1, 1), dtype=np.float32))
    both = Split(one, one)
    with pytest.raises(ValueError, match="toy is not a user's own data"):
        describe(Dataset("toy", Regression(), both, both, both, {}))


# the description and the files


def test_a_description_travels_as_json() -> None:
    described = OwnData(
        data=("a.csv", "b.csv"), task="forecasting", horizon=3, target=("y",), valid_share=0.2
    )
    tree = described.to_json()
    assert tree == {
        "data": ["a.csv", "b.csv"],
        "task": "forecasting",
        "target": ["y"],
        "horizon": 3,
        "valid_share": 0.2,
    }
    assert OwnData.from_mapping(tree) == described
    assert described.name == "a"
    there = described.anchored(Path("/data"))
    assert there.data == ("/data/a.csv", "/data/b.csv")
    assert there.anchored(Path("/elsewhere")) == there


def test_lines_end_in_many_ways(tmp_path: Path) -> None:
    path = tmp_path / "lines.txt"
    path.write_bytes("\ufeffé\r\nb\n\nc".encode())
    assert list(read_lines(path)) == [(1, "é"), (2, "b"), (3, ""), (4, "c")]
    path.write_bytes(b"a" * (1 << 20) + b"\xc3")  # cut within a letter, at the end of a block
    with pytest.raises(ValueError, match="line 1 must be UTF-8 text, got the byte 0xc3"):
        list(read_lines(path))
    path.write_bytes(b"\n" * (1 << 20) + "é".encode() + b"\xff")
    with pytest.raises(ValueError, match=r"line 1048577 must be UTF-8 text, got the byte 0xff"):
        list(read_lines(path))
