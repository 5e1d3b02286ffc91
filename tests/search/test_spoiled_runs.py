"""Spoiled files through the command line: exit code 2, one sentence, and nothing is left."""

import re
from datetime import date, timedelta
from pathlib import Path

import pytest

from search.cli import main

DAYS = [str(date(2024, 1, 1) + timedelta(days=day)) for day in range(40)]
SALES = ["date,y", *(f"{day},{number}" for number, day in enumerate(DAYS))]
TEXTS = ["text,label", *(f"hello number {n},{'ab'[n % 2]}" for n in range(30))]
FORECAST = "--task forecasting --time date --target y --horizon 3"
CLASSIFY = "--task classification --text text --target label"
WATCH = "--task anomaly_detection"
SPEAK = "--task language_modelling --level character"


def spoiled(row: int, by: str) -> list[str]:
    """The sales with one row replaced; rows count from 1."""
    return [*SALES[:row], by, *SALES[row + 1 :]]


CASES: list[tuple[str, dict[str, str | bytes | list[str]], str, str]] = [
    ("encoding", {"a.csv": "date,y\n2024-01-01,é\n".encode("latin-1")}, FORECAST, "line 2 .*UTF-8"),
    ("column", {"a.csv": [line.replace("y", "z") for line in SALES]}, FORECAST, "no column 'y'"),
    ("types", {"a.csv": spoiled(9, f"{DAYS[8]},many")}, FORECAST, "row 9.* numbers, got 'many'"),
    ("nan", {"a.csv": spoiled(9, f"{DAYS[8]},NaN")}, FORECAST, "row 9.*a value .* got 'NaN'"),
    ("infinity", {"a.csv": spoiled(9, f"{DAYS[8]},inf")}, FORECAST, "row 9.* finite .* 'inf'"),
    ("one class", {"a.csv": [line.replace(",b", ",a") for line in TEXTS]}, CLASSIFY, "two classes"),
    ("short", {"a.csv": SALES[:4]}, FORECAST, r"look_back \+ horizon = \d+"),
    ("unsorted", {"a.csv": spoiled(9, "2023-01-01,1")}, FORECAST, "row 9.*must grow from row"),
    ("twice", {"a.csv": spoiled(9, f"{DAYS[7]},1")}, FORECAST, "row 9.*each time once"),
    ("gap", {"a.csv": [*SALES[:9], *SALES[10:]]}, FORECAST, "row 9.*must go on with"),
    ("dates", {"a.csv": spoiled(9, "soon,1")}, FORECAST, "row 9.*dates such as .*'soon'"),
    ("empty", {"a.csv": ""}, FORECAST, "a.csv must hold data, got an empty file of 0 bytes"),
    ("only names", {"a.csv": "date,y\n"}, FORECAST, "must have rows below the names"),
    ("ragged", {"a.csv": spoiled(9, f"{DAYS[8]},1,2")}, FORECAST, "row 9 must have 2 columns"),
    ("no file", {}, FORECAST.replace("--task", "--data b.csv --task"), "no file .*csv"),
    ("0-byte gzip", {"a.csv.gz": b""}, CLASSIFY, "an empty file of 0 bytes"),
    ("no gzip", {"a.csv.gz": "text,label"}, CLASSIFY, "must be a gzip file, as its name says"),
    ("parquet", {"a.parquet": "hello"}, CLASSIFY, "must be a Parquet file"),
    ("json", {"a.jsonl": '{"text": "a", "label": '}, CLASSIFY, "row 1 must be a JSON object"),
    ("kind", {"a.xlsx": "PK"}, CLASSIFY, "must end in one of .*'.xlsx'"),
    (
        "archive",
        {"a.ts": "@classLabel true a b\n@data\n1,x:a\n"},
        "--task classification",
        "line 3",
    ),
    ("tags", {"a.conll": "a A\n" * 40}, "--task tagging", "must be parted by blank lines"),
    ("one tag", {"a.conll": "a A\n\n" * 9}, "--task tagging", "two different tags"),
    ("tag lacks", {"a.conllu": "1 cat NOUN\n\n"}, "--task tagging", "must have 10 columns"),
    ("horizon", {"a.csv": SALES}, FORECAST.replace("3", "0"), "`horizon` must be at least 1"),
    ("no task", {"a.csv": SALES}, "", "own data must have the key 'task'"),
    ("text", {"a.txt": ""}, SPEAK, "an empty file of 0 bytes"),
    ("bytes", {"a.txt": b"ab\n\xff\xfe\xfd\n"}, SPEAK, "must be UTF-8"),
    ("tiny text", {"a.txt": "ab"}, SPEAK, "must be longer: its part for train"),
    ("level", {"a.txt": "to be or not\n" * 60}, SPEAK.replace("character", "letter"), "`level`"),
    ("pairs", {"a.tsv": "one\nzwei\n"}, "--task translation", "a.tsv has: one"),
    (
        "half pair",
        {"a.tsv": "de\ten\na\tb\nc\t\n"},
        "--task translation --text de --target en",
        "row 2",
    ),
    (
        "parallel",
        {"a.de": "eins\nzwei\n", "a.en": "one\n"},
        "--task translation",
        "as many lines as .*a.de",
    ),
    ("no marks", {"a.csv": SALES}, f"{WATCH} --target z", "no column 'z' to be the target"),
    ("unnamed marks", {"a.csv": SALES}, WATCH, "`target` must name the column that marks"),
    (
        "never marked",
        {"a.csv": ["t,v,anomaly", *(f"{n},{n % 7},0" for n in range(60))]},
        WATCH,
        "must mark at least one anomaly in valid",
    ),
    (
        "watched gap",
        {"a.csv": ["t,v,anomaly", *(f"{n},{n % 7},{n % 2}" for n in (1, 2, 3, 5, 6))]},
        WATCH,
        "row 4.*must go on with 4",
    ),
    ("one side", {"a.de": "eins\nzwei\n"}, "--task translation", "must name two files"),
]


@pytest.mark.parametrize(
    ("files", "words"), [(case[1:3], case[3]) for case in CASES], ids=[case[0] for case in CASES]
)
def test_a_spoiled_file_is_refused_in_one_sentence(
    files: tuple[dict[str, str | bytes | list[str]], str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, content in files[0].items():
        text = "\n".join(content) if isinstance(content, list) else content
        Path(name).write_bytes(text.encode() if isinstance(text, str) else text)
    data = [word for name in files[0] for word in ("--data", name)]
    with pytest.raises(SystemExit) as left:
        main(["run", *data, *files[1].split(), "--families", "gru", "--name", "never"])
    told = capsys.readouterr()
    assert left.value.code == 2
    assert told.out == ""
    assert told.err.startswith("seqtune: ")
    assert told.err.count("\n") == 1, told.err
    assert len(told.err) < 400
    assert re.search(words, told.err), told.err
    assert not list(tmp_path.glob("results/*"))


def test_a_folder_is_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(SystemExit) as left:
        main(["run", "--data", "a.csv", *FORECAST.split()])
    assert left.value.code == 2
    assert "a.csv must be a file, got a folder" in capsys.readouterr().err
    assert not (tmp_path / "results").exists()
