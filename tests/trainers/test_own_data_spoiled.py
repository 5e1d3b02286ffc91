"""Spoiled files: each gives one sentence that says where, what must hold and what came."""

import gzip
import re
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from trainers.own_data import OwnData, load_own_data

DAYS = [str(date(2024, 1, 1) + timedelta(days=day)) for day in range(60)]
SALES = [f"{day},{number}" for number, day in enumerate(DAYS)]
STORES = ["date,store,y", *(f"{day},a,{number}" for number, day in enumerate(DAYS))]
PRICES = ["date,y,price", *(f"{row},{number % 3}" for number, row in enumerate(SALES))]
TEXTS = ["text,label", *(f"hello number {n},{'ab'[n % 2]}" for n in range(30))]
GROUPS = ["text,label,who", *(f"hello number {n},{'abc'[n // 10]},{n // 10}" for n in range(30))]
STEPS = ["id,t,x,label", *(f"s{n // 4},{n % 4},{n},{'ab'[n // 4 % 2]}" for n in range(80))]
ARCHIVE = "@univariate true\n@classLabel true a b\n@data\n1,2,3:a\n"
WORD = "\t".join(["1", "cat", "cat", "NOUN", *["_"] * 6])


def sales(row: int, by: str) -> list[str]:
    """Sixty days, one of the rows replaced; rows count from 1."""
    return ["date,y", *SALES[: row - 1], by, *SALES[row:]]


def sentence_for(content: str | bytes | list[str], name: str, **fields: Any) -> str:
    text = "\n".join(content) if isinstance(content, list) else content
    Path(name).write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises((ValueError, OSError)) as caught:
        load_own_data(OwnData.from_mapping({"data": name, **fields}))
    return str(caught.value)


def assert_says(sentence: str, words: str) -> None:
    assert re.search(words, sentence), sentence
    assert "\n" not in sentence
    assert len(sentence) < 260


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """File names stand in sentences as they were given."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("date,y\n2024-01-01,1\ncafé,2\n".encode("latin-1"), "csv, line 3 must be UTF-8 .* 0xe9"),
        ("été,y\n1,2\n".encode("latin-1"), "sales.csv, line 1 must be UTF-8 text, got .* 0xe9"),
        ("date,y\n".encode("utf-16"), "sales.csv must be UTF-8 text, got UTF-16; save it as UTF-8"),
        (sales(17, f"{DAYS[16]},many"), "csv, row 17: column 'y' must hold numbers, got 'many'"),
        (sales(17, f'{DAYS[16]},"3,5"'), "row 17: .* got '3,5'; write decimals with a point"),
        (sales(17, f"{DAYS[16]},NaN"), "row 17: column 'y' must have a value .* got 'NaN'; fill"),
        (sales(17, f"{DAYS[16]},"), "row 17: column 'y' must have a value in every row, got noth"),
        (sales(17, f"{DAYS[16]},inf"), "row 17: column 'y' must hold finite numbers, got 'inf'"),
        (
            ["date,y", *SALES[:16], *SALES[17:]],
            "row 17: column 'date' must go on with 2024-01-17, 1 day aft",
        ),
        (sales(17, f"{DAYS[12]},3"), "row 17: .* each time once, got 2024-01-13 also in row 13"),
        (sales(17, "2023-12-01,3"), "row 17: .* must grow from row to row, got 2023-12-01 after"),
        (
            sales(17, "17/01/2024,3"),
            "row 17: column 'date' must hold dates such as .* '17/01/2024'",
        ),
        (sales(17, ",3"), "row 17: column 'date' must have a value in every row, got nothing"),
        (sales(60, "2024-03-01,1,2"), "row 60 must have 2 columns, got 3: '2024-03-01,1,2'"),
        (["date,y", *SALES[:8]], r"row 1: the series must .* look_back \+ horizon = 4 .*, got 2"),
        ("date,y\n", "sales.csv must have rows below the names of its columns, got none"),
        ("\n\n\n", "must begin with a line that names the columns, got blank lines"),
        ("", "sales.csv must hold data, got an empty file of 0 bytes"),
        (["3,4", "5,6"], "sales.csv: the first line must name the columns, got '3,4'"),
        (["date,y,y", "2024-01-01,3,4"], "every column must have a name of its own, got 'y' twice"),
    ],
)
def test_spoiled_series(content: Any, words: str) -> None:
    fields = {"task": "forecasting", "time": "date", "horizon": 3}
    assert_says(sentence_for(content, "sales.csv", **fields), words)


@pytest.mark.parametrize(
    ("content", "fields", "words"),
    [
        (STORES, {"target": "sold"}, "sales.csv has no column 'sold' to be the target; it has: da"),
        (STORES, {"target": "Y"}, "no column 'Y' to be the target; it has: date, store, y"),
        (STORES, {"id": "stores"}, "no column 'stores' to be the id; did you mean 'store'"),
        (STORES, {"covariates": "store"}, "row 1: column 'store' must hold numbers, got 'a'"),
        (
            ["date,p,q", "2024-01-01,3,4"],
            {},
            "`target` must name the column to forecast; sales.csv has: date, p, q",
        ),
        (["p,y", "a,3"], {}, "`time` must name the column of times; sales.csv has: p, y"),
        (
            [*STORES, *(f"{day},b,1" for day in DAYS)],
            {"target": "y"},
            "row 61: .* each time once, .* also in row 1; .* or name the series' column, `id`",
        ),
        (
            [*STORES, *(f"{day},b,1" for day in DAYS[:5])],
            {"target": "y", "id": "store", "look_back": 6},
            r"row 61: the series 'b' must have at least look_back \+ horizon = 9 .*, got 5; leave",
        ),
        (
            PRICES,
            {"target": "y", "future_covariates": "price", "look_back": 2},
            "`look_back` must be at least `horizon` where there are future covariates, got 2 and 3",
        ),
    ],
)
def test_spoiled_roles_of_series(content: list[str], fields: dict[str, Any], words: str) -> None:
    sentence = sentence_for(content, "sales.csv", task="forecasting", horizon=3, **fields)
    assert_says(sentence, words)


def test_a_test_file_too_short_and_one_with_other_series() -> None:
    Path("test.csv").write_text("date,store,y\n2024-03-01,a,3\n", "utf-8")
    fields = {"task": "forecasting", "horizon": 3, "id": "store", "test": "test.csv"}
    sentence = sentence_for(STORES, "sales.csv", **fields)
    assert_says(sentence, r"test must have room for a window of \d+ \+ 3 steps, got none")
    Path("test.csv").write_text("date,store,y\n2024-03-01,b,3\n", "utf-8")
    sentence = sentence_for(STORES, "sales.csv", **fields)
    assert_says(sentence, "test.csv, row 1: the series 'b' must have at least .* in train, got 0")
    Path("test.csv").write_text("date,shop,y\n2024-03-01,b,3\n", "utf-8")
    sentence = sentence_for(STORES, "sales.csv", **fields)
    assert_says(sentence, "test.csv has no column 'store'; it has: date, shop, y")


@pytest.mark.parametrize(
    ("content", "fields", "words"),
    [
        (
            [line.replace(",b", ",a") for line in TEXTS],
            {},
            "'label' must hold at least two classes",
        ),
        (TEXTS, {"text": "sentence"}, "no column 'sentence' to be the text; it has: label, text"),
        (TEXTS, {"target": "lable"}, "no column 'lable' to be the target; did you mean 'label'"),
        (TEXTS, {"group": "person"}, "has no column 'person' to be the group; it has: label, text"),
        (
            ["id,text,label", "1,a,b"],
            {"text": "text", "id": "id"},
            "`id` has no meaning where each row is one text; leave it out",
        ),
        (
            [*TEXTS, " ,a"],
            {},
            "csv, row 31: column 'text' must have a value in every row, got noth",
        ),
        ([*TEXTS, "hi,"], {}, "csv, row 31: column 'label' must have a value in every row, got n"),
        ([*TEXTS, "hi there,c"], {}, "every class must have at least 3 examples, .* 'c' has 1; le"),
        ([*TEXTS, '"the end,a', *TEXTS[1:5]], {}, "data.csv, row 31 must have 2 columns, got 1: "),
        (["text,answer", "a,b"], {}, "`target` must name the column to be told from the others; "),
        (["n,label", "1,a"], {}, "`id` must name the column that tells sequences apart .or `text`"),
        (GROUPS, {"group": "who"}, "row .*: every class must be in train, got '.', which is in "),
        (
            [line.replace(",2", ",1") for line in GROUPS],
            {"group": "who"},
            "`group` must name a column of at least 3 groups, one for each split, got 2",
        ),
        (
            [*STEPS, "s19,4,3,a"],
            {},
            "row 81: column 'label' must be the same in all rows of sequence 's19', got 'a', and ",
        ),
        ([*STEPS, "s19,3,3,b"], {}, "row 81: column 't' must grow .* of sequence 's19', got 3 aft"),
        (STEPS, {"covariates": "y"}, "no column 'y' to be the covariates; it has: id, label, t, x"),
        (["id,x,label", "1,2,a", "2,3,b"], {}, "`id` must .*, but in 'id' every row has another;"),
        (["id,label", "1,a", "1,a"], {}, "`covariates` must name columns of numbers, the features"),
    ],
)
def test_spoiled_examples(content: list[str], fields: dict[str, Any], words: str) -> None:
    sentence = sentence_for(content, "data.csv", task="classification", **fields)
    assert_says(sentence, words)


@pytest.mark.parametrize(
    ("name", "content", "task", "words"),
    [
        ("x.ts", f"{ARCHIVE}1,x,3:b\n", "classification", "x.ts, line 5: a value must be a number"),
        ("x.ts", f"{ARCHIVE}1,2,3:c\n", "classification", "line 5: the class must be one of a, b"),
        ("x.ts", ARCHIVE.encode() + b"\xff\n", "classification", "x.ts, line 5 must be UTF-8"),
        ("x.ts", ARCHIVE, "regression", "line 3: a line `@targetLabel true` must say that"),
        (
            "x.ts",
            ARCHIVE,
            "tagging",
            "tagging must be from files that end in .conllu, .*, got x.ts",
        ),
        ("x.conll", "a A\n" * 40, "tagging", "line 1: sentences must be parted by blank lines"),
        ("x.conllu", f"{WORD}\n" * 40, "tagging", "got one of 40 words, and no other"),
        ("x.conll", "a A\n\nb B\n\n" + "c A\n" * 1_001, "tagging", "line 5: .* of 1,001 words$"),
        ("x.conll", "a A\nb B\n\nc C D\n", "tagging", "line 4 must have 2 columns, as .*, got 3"),
        ("x.conll", "a\tA\nb\t\n", "tagging", "line 2 must have 2 columns, .*, got an empty one"),
        ("x.conll", "a\nb\n\nc\n", "tagging", "line 1 must have a word and its tag, .* got 'a'"),
        ("x.conll", "a A\n\n" * 9, "tagging", "at least two different tags, got only 'A'"),
        ("x.conll", "a A\n\nb B\n", "tagging", "at least 3 examples, one for each split, got 2"),
        ("x.conll", "\n\n", "tagging", "x.conll must hold sentences, got blank lines"),
        ("x.conllu", "1 cat NOUN\n\n", "tagging", "line 1 must have 10 columns, as .*, got 1"),
        ("x.txt", "a\n\nb\n", "classification", "`data` must name a text file for each class"),
        ("x.csv", "a,b\n", "tagging", "tagging must be from files that end in .conllu"),
        ("x.parquet", "hello", "classification", "x.parquet must be a Parquet file: "),
        ("x.jsonl", '{"a": 1}\n{"a": ', "classification", "x.jsonl, row 2 must be a JSON object"),
        ("x.jsonl", '[{"a": 1}]', "classification", "row 1 must be a JSON object, got "),
        ("x.jsonl", '{"a": 1}\n{"a": "b"}', "classification", "row 2: column 'a' must hold values"),
        ("x.jsonl", '{"a": [1, 2], "label": "b"}', "classification", "`id` must name the column"),
        ("x.jsonl", "\n", "classification", "must hold one JSON object a line, got blank lines"),
        ("x.csv.gz", "", "classification", "x.csv.gz must hold data, got an empty file of 0 bytes"),
        ("x.csv.gz", "text,label", "classification", "must be a gzip file, as its name says"),
        (
            "x.csv.gz",
            gzip.compress("\n".join(TEXTS).encode())[:-9],
            "classification",
            "x.csv.gz must be a whole gzip file: ",
        ),
        (
            "x.xlsx",
            "PK",
            "classification",
            "x.xlsx: the name .* must end in one of .csv, .*'.xlsx'",
        ),
        ("x.parquet.gz", "PK", "classification", "must end in one of .*, got '.parquet.gz'"),
        ("x", "a,b", "classification", "must end in one of .*, got 'x'"),
    ],
)
def test_spoiled_files(name: str, content: str | bytes, task: str, words: str) -> None:
    assert_says(sentence_for(content, name, task=task), words)


def test_files_that_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "sales.csv").write_text("\n".join(["date,y", *SALES]), "utf-8")
    own = {"task": "forecasting", "horizon": 3}
    with pytest.raises(IsADirectoryError, match=r"folder\.csv must be a file, got a folder"):
        load_own_data(OwnData.from_mapping({"data": "folder.csv", **own}))
    with pytest.raises(FileNotFoundError, match=r"no file sale\.csv; did you mean 'sales\.csv'"):
        load_own_data(OwnData.from_mapping({"data": "sale.csv", **own}))
    with pytest.raises(FileNotFoundError, match=r"no file elsewhere/sales\.csv"):
        load_own_data(OwnData.from_mapping({"data": "elsewhere/sales.csv", **own}))


def test_files_that_do_not_belong_together() -> None:
    Path("one.ts").write_text(ARCHIVE, "utf-8")
    Path("two.ts").write_text("@classLabel true a b\n@data\n1,2:3,4:b\n", "utf-8")
    Path("texts.csv").write_text("\n".join(TEXTS), "utf-8")
    own = {"task": "classification"}
    with pytest.raises(ValueError, match=r"two\.ts must have 1 channels, as one\.ts has, got 2"):
        load_own_data(OwnData.from_mapping({"data": ["one.ts", "two.ts"], **own}))
    with pytest.raises(ValueError, match=r"of one kind, got one\.ts and texts\.csv"):
        load_own_data(OwnData.from_mapping({"data": ["one.ts", "texts.csv"], **own}))
    Path("new.csv").write_text("text,label\nhi,z\n", "utf-8")
    with pytest.raises(ValueError, match=r"new\.csv, row 1: every class must be in train, got 'z'"):
        load_own_data(OwnData.from_mapping({"data": "texts.csv", "test": "new.csv", **own}))
    Path("a.conll").write_text("a A\n\nb B\n\nc A\n\nd B\n", "utf-8")
    Path("b.conll").write_text("a A\n\nb C\n", "utf-8")
    with pytest.raises(ValueError, match=r"b\.conll, line 3: every tag must be in train, got 'C'"):
        load_own_data(
            OwnData.from_mapping({"data": "a.conll", "test": "b.conll", "task": "tagging"})
        )
    for column, words in (("3", "only numbers from 1 to 2, got '3'"), ("tag", "got 'tag'")):
        with pytest.raises(ValueError, match=words):
            load_own_data(
                OwnData.from_mapping({"data": "a.conll", "task": "tagging", "target": column})
            )
    Path("pos.txt").write_text("good\n\nfine\n", "utf-8")
    Path("neg.txt").write_text("bad\n", "utf-8")
    with pytest.raises(ValueError, match=r"pos\.txt, row 2 must hold a text, got a blank line"):
        load_own_data(OwnData.from_mapping({"data": ["neg.txt", "pos.txt"], **own}))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "own data must have the key 'task'"),
        ({"task": "clasification"}, "`task` of own data must be one of .*, got 'clasification'"),
        ({"task": "forecasting"}, "`horizon` must be given for forecasting"),
        ({"task": "forecasting", "horizon": 0}, "`horizon` must be at least 1, got 0"),
        ({"task": "forecasting", "horizon": "3"}, "`horizon` must be a whole number, got '3'"),
        ({"task": "forecasting", "horizon": True}, "`horizon` must be a whole number, got True"),
        ({"task": "classification", "horizon": 3}, "`horizon` has no meaning in classification"),
        ({"task": "tagging", "group": "g"}, "`group` has no meaning in tagging; leave it out"),
        ({"task": "classification", "target": ["a", "b"]}, "`target` must be one column in class"),
        ({"task": "classification", "target": 3}, "`target` must be text or a list of text, got 3"),
        ({"task": "classification", "taget": "x"}, "no key 'taget'; did you mean 'target'"),
        ({"task": "classification", "test_share": 1.5}, "`test_share` must be between 0 and 1"),
        ({"task": "classification", "test_share": "a"}, "`test_share` must be a number between"),
        (
            {"task": "classification", "valid_share": 0.5, "test_share": 0.5},
            "must leave something to train on, got 0.5 and 0.5",
        ),
        ({"task": "classification", "seed": -1}, "`seed` must be at least 0, got -1"),
        (
            {"task": "classification", "valid": "v.csv"},
            "`test` must name files, too, where `valid`",
        ),
        (
            {"task": "classification", "group": "g", "test": "t.csv"},
            "`group` has no meaning where `valid` or `test` are files of their own",
        ),
        (
            {"task": "regression", "target": "y", "covariates": ["x", "y"]},
            "column 'y' must have one role, got target and covariates",
        ),
    ],
)
def test_spoiled_descriptions(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        OwnData.from_mapping({"data": "x.csv", **fields})


def test_own_data_needs_a_file() -> None:
    with pytest.raises(ValueError, match="own data must have the key 'data'"):
        OwnData.from_mapping({"task": "tagging"})
    with pytest.raises(ValueError, match="`data` must name at least one file"):
        OwnData(data=(), task="tagging")
