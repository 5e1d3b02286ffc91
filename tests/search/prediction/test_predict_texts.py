"""Texts and sentences: classes and tags are those that `evaluate` judges."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pa_parquet
import pytest

Answer = Callable[..., list[dict[str, str]]]
Refused = Callable[..., str]
Train = Callable[..., Any]
Own = Callable[..., dict[str, Any]]
Predict = Callable[..., int]


GOOD = ["a", "fine", "and", "warm", "film", ",", "I", "liked", "it"]
BAD = ["a", "dull", "cold", "film", "!", "it", "bored", "me"]


def reviews(count: int, seed: int) -> list[tuple[str, str]]:
    random = np.random.default_rng(seed)
    pairs = []
    for _ in range(count):
        likes = random.random() < 0.5
        first, second = (GOOD, BAD) if likes else (BAD, GOOD)
        words = [*random.choice(first, 5), *random.choice(second, 2)]
        pairs.append((" ".join(random.permutation(words)), "good" if likes else "bad"))
    return pairs


def test_classes_of_texts_in_a_table(
    tmp_path: Path,
    ask: Answer,
    capsys: pytest.CaptureFixture[str],
    train: Train,
    own: Own,
    predict: Predict,
) -> None:
    files = {name: reviews(50, seed) for seed, name in enumerate(("train", "valid", "test"))}
    for name, pairs in files.items():
        table = pa.table({"text": [t for t, _ in pairs], "label": [label for _, label in pairs]})
        pa_parquet.write_table(table, tmp_path / f"{name}.parquet")
    source = own(
        "classification",
        tmp_path / "train.parquet",
        valid=[str(tmp_path / "valid.parquet")],
        test=[str(tmp_path / "test.parquet")],
        target="label",
    )
    model = train(tmp_path / "best", source)
    texts, labels = zip(*files["test"], strict=True)
    (tmp_path / "asked.tsv").write_text("\n".join(["text", *texts]), "utf-8")
    rows = ask(model.folder, tmp_path / "asked.tsv")
    assert [row["row"] for row in rows] == [str(number) for number in range(1, 51)]
    assert model.accuracy(rows, list(labels)) == pytest.approx(model.metrics["accuracy"])

    (tmp_path / "new.csv").write_text("text\na warm movie\nSplendid!\n", "utf-8")
    assert predict(model.folder, tmp_path / "new.csv") == 0
    assert capsys.readouterr().err == "2 of 5 words are unknown to the model\n"


def test_classes_of_texts_in_lines(tmp_path: Path, ask: Answer, train: Train, own: Own) -> None:
    for seed, part in enumerate(("train", "test")):
        (tmp_path / part).mkdir()
        for name in ("good", "bad"):
            lines = [text for text, label in reviews(60, seed) if label == name]
            (tmp_path / part / f"{name}.txt").write_text("\n".join(lines), "utf-8")
    data = [tmp_path / "train" / f"{name}.txt" for name in ("good", "bad")]
    tests = [tmp_path / "test" / f"{name}.txt" for name in ("good", "bad")]
    model = train(
        tmp_path / "best", own("classification", *data, test=[str(path) for path in tests])
    )
    right = [row["predicted"] == path.stem for path in tests for row in ask(model.folder, path)]
    assert np.mean(right) == pytest.approx(model.metrics["accuracy"])


def tagged(count: int, seed: int) -> list[list[tuple[str, str]]]:
    random = np.random.default_rng(seed)
    lexicon = {"the": "DT", "dog": "NN", "runs": "VB", "run": "VB", "cat": "NN", "a": "DT"}
    words = list(lexicon)
    return [
        [(word, lexicon[word]) for word in random.choice(words, int(random.integers(2, 7)))]
        for _ in range(count)
    ]


def conll(sentences: list[list[tuple[str, str]]]) -> str:
    return "".join(
        "".join(f"{word}\t{tag}\n" for word, tag in sentence) + "\n" for sentence in sentences
    )


def test_tags_of_words(
    tmp_path: Path,
    ask: Answer,
    capsys: pytest.CaptureFixture[str],
    train: Train,
    own: Own,
    predict: Predict,
) -> None:
    files = {name: tagged(40, seed) for seed, name in enumerate(("train", "test"))}
    for name, sentences in files.items():
        (tmp_path / f"{name}.conll").write_text(conll(sentences), "utf-8")
    source = own("tagging", tmp_path / "train.conll", test=[str(tmp_path / "test.conll")])
    model = train(tmp_path / "best", source, epochs=1)
    words = "\n\n".join("\n".join(word for word, _ in sentence) for sentence in files["test"])
    (tmp_path / "asked.txt").write_text(words, "utf-8")  # no tags
    rows = ask(model.folder, tmp_path / "asked.txt")
    assert list(rows[0]) == ["sentence", "position", "word", "tag", "probability"]
    flat = [pair for sentence in files["test"] for pair in sentence]
    assert [row["word"] for row in rows] == [word for word, _ in flat]
    right = [row["tag"] == tag for row, (_, tag) in zip(rows, flat, strict=True)]
    assert np.mean(right) == pytest.approx(model.metrics["accuracy"])

    capsys.readouterr()
    assert predict(model.folder, tmp_path / "test.conll") == 0  # printed as CoNLL columns
    said = iter(rows)
    expected = [[(word, next(said)["tag"]) for word, _ in each] for each in files["test"]]
    assert capsys.readouterr().out == conll(expected)
    (tmp_path / "one.conll").write_text("The\nzebra\nruns\n", "utf-8")  # one sentence will do
    assert predict(model.folder, tmp_path / "one.conll", "-o", tmp_path / "one.bio") == 0
    assert "2 of 3 words are unknown" in capsys.readouterr().err
    assert len((tmp_path / "one.bio").read_text("utf-8").splitlines()) == 4
