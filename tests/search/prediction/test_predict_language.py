"""Language models go on with texts, and say how likely they are."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainers.data.dataset import Dataset
from trainers.data.streams import PASSAGE, passages_of
from trainers.prediction.continuation import TOKENS
from trainers.tasks import LanguageModelling

Answer = Callable[..., list[dict[str, str]]]
Refused = Callable[..., str]
Train = Callable[..., Any]
Own = Callable[..., dict[str, Any]]
Predict = Callable[..., int]
WORDS = ["the", "dog", "runs", "<unk>", "<eos>"]


def text_of(length: int, level: str) -> Dataset:
    """A text of which every token follows from the one before, most of the time."""
    random = np.random.default_rng(0)
    tokens = np.cumsum(random.choice([1, 1, 1, 2], length)) % len(WORDS)
    words = level == "word"
    return Dataset(
        name="text",
        task=LanguageModelling(vocabulary=len(WORDS), level=level),
        train=passages_of([tokens]),
        valid=passages_of([tokens[:300]]),
        test=passages_of([tokens[: 2 * PASSAGE + 40]]),
        preprocessing={
            "vocabulary": WORDS if words else list("abc_."),
            "words": r"\S+" if words else r"\S",
        },
    )


@pytest.mark.parametrize("level", ["word", "character"])
def test_a_text_goes_on(
    level: str,
    train: Train,
    ask: Answer,
    refused: Refused,
    predict: Predict,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = text_of(2_000, level)
    model = train(tmp_path / "best", {"name": "ptb_word"}, dataset=data, epochs=1)
    symbols = data.preprocessing["vocabulary"]
    between = " " if level == "word" else ""
    stream = data.test.inputs.values
    text = between.join(symbols[token] for token in stream[: 2 * PASSAGE + 40])
    file = tmp_path / "asked.txt"
    file.write_text(f"{text}\n{symbols[0]}\n{text}\n", "utf-8")
    rows = ask(model.folder, file)
    assert list(rows[0]) == ["row", "nats_per_token", "continuation"]
    nats = model.metrics["nats_per_token"]
    assert float(rows[0]["nats_per_token"]) == pytest.approx(nats, rel=1e-4)
    assert rows[1]["nats_per_token"] == ""
    said = [row["continuation"].split() if between else row["continuation"] for row in rows]
    assert [len(one) for one in said] == [TOKENS] * 3
    assert said[0] != said[2]  # another draw
    assert ask(model.folder, file) == rows  # but always the same

    capsys.readouterr()
    assert predict(model.folder, file) == 0  # a line for each text
    assert capsys.readouterr().out.splitlines() == [row["continuation"] for row in rows]
    assert predict(model.folder, file, "-o", tmp_path / "out.parquet") == 0
    file.write_text("the cat runs", "utf-8")
    if level == "word":
        capsys.readouterr()
        assert predict(model.folder, file) == 0
        assert capsys.readouterr().err == "1 of 3 words are unknown to the model\n"
    else:
        assert "a token that the model knows, got 't'" in refused(model.folder, file)


def test_a_model_without_a_state_reads_passages(train: Train, ask: Answer, tmp_path: Path) -> None:
    data = text_of(1_000, "word")
    model = train(tmp_path / "best", {"name": "ptb_word"}, dataset=data, epochs=1, own_model=True)
    stream = data.test.inputs.values[: 2 * PASSAGE + 1]
    (tmp_path / "asked.txt").write_text(" ".join(WORDS[token] for token in stream), "utf-8")
    row = ask(model.folder, tmp_path / "asked.txt", "--trust")[0]
    assert len(row["continuation"].split()) == TOKENS
    assert float(row["nats_per_token"]) == pytest.approx(model.metrics["nats_per_token"], rel=0.1)


@pytest.mark.parametrize("level", ["word", "character"])
def test_a_file_of_ones_own_goes_on(
    level: str,
    train: Train,
    own: Own,
    ask: Answer,
    predict: Predict,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    line = "the dog runs and the cat runs after the dog\n"
    for name, count in (("train", 60), ("test", 9)):
        (tmp_path / f"{name}.txt").write_text(count * line, "utf-8")
    source = own("language_modelling", tmp_path / "train.txt", level=level)
    model = train(tmp_path / "best", source | {"test": [str(tmp_path / "test.txt")]}, epochs=1)
    (row,) = ask(model.folder, tmp_path / "test.txt")
    nats = model.metrics["nats_per_token"]
    assert float(row["nats_per_token"]) == pytest.approx(nats, rel=1e-4)
    # a file that does not end its line goes on in it, and has a token less
    tokens = []
    for name, text in (("whole", f"{line}the dog\n"), ("open", f"{line}the dog")):
        (tmp_path / f"{name}.txt").write_text(f"Xe {text}", "utf-8")
        capsys.readouterr()
        assert predict(model.folder, tmp_path / f"{name}.txt") == 0
        words = capsys.readouterr().err.split()
        assert words[0] == "1"  # Xe, or X
        tokens.append(int(words[2]))
    assert tokens[0] == tokens[1] + 1
