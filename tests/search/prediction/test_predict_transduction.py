"""Answers with a length of their own: translations, captions and transcriptions."""

import json
import wave
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sacrebleu.metrics.bleu import BLEU

from trainers.tasks.edits import edit_distance

Answer = Callable[..., list[dict[str, str]]]
Refused = Callable[..., str]
Train = Callable[..., Any]
Own = Callable[..., dict[str, Any]]
Predict = Callable[..., int]
WORDS = {"der": "the", "Hund": "dog", "Kater": "cat", "rennt": "runs", "schnell": "fast"}


def pairs(count: int, seed: int) -> list[tuple[str, str]]:
    random = np.random.default_rng(seed)
    sources = [random.choice([*WORDS], random.integers(4, 7)) for _ in range(count)]
    return [(" ".join(one), " ".join(WORDS[word] for word in one)) for one in sources]


def bleu(found: list[str], wanted: list[str]) -> float:
    return float(BLEU(tokenize="none").corpus_score(found, [wanted]).score)


def test_translations_of_a_table_and_of_lines(
    tmp_path: Path,
    train: Train,
    own: Own,
    ask: Answer,
    predict: Predict,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tests = pairs(30, 1)
    for name, rows in (("train", pairs(150, 0)), ("test", tests)):
        lines = ["\t".join(("de", "en")), *("\t".join(row) for row in rows)]
        (tmp_path / f"{name}.tsv").write_text("\n".join(lines), "utf-8")
        for place, language in enumerate(("de", "en")):
            text = "\n".join(row[place] for row in rows)
            (tmp_path / f"{name}.{language}").write_text(text, "utf-8")
    table = own("translation", tmp_path / "train.tsv", test=[str(tmp_path / "test.tsv")])
    model = train(tmp_path / "table", table | {"text": "de", "target": "en"}, epochs=2)
    (tmp_path / "asked.csv").write_text("\n".join(["de", *(row[0] for row in tests)]), "utf-8")
    rows = ask(model.folder, tmp_path / "asked.csv")
    assert list(rows[0]) == ["row", "answer"]
    found = [row["answer"] for row in rows]
    wanted = [row[1] for row in tests]
    assert bleu(found, wanted) == pytest.approx(model.metrics["bleu"], rel=1e-4)

    tests_of_lines = [str(tmp_path / f"test.{language}") for language in ("de", "en")]
    sides = [tmp_path / f"train.{language}" for language in ("de", "en")]
    model = train(tmp_path / "lines", own("translation", *sides, test=tests_of_lines), epochs=2)
    rows = ask(model.folder, tmp_path / "test.de")
    found = [row["answer"] for row in rows]
    assert bleu(found, wanted) == pytest.approx(model.metrics["bleu"], rel=1e-4)
    capsys.readouterr()
    (tmp_path / "new.txt").write_text("der Hund bellt\n", "utf-8")
    assert predict(model.folder, tmp_path / "new.txt", "-o", tmp_path / "new.en.txt") == 0
    assert "1 of 3 words are unknown" in capsys.readouterr().err
    assert len((tmp_path / "new.en.txt").read_text("utf-8").splitlines()) == 1


def test_captions(tmp_path: Path, train: Train, ask: Answer) -> None:
    model = train(tmp_path / "best", {"name": "digits_spelled"}, epochs=2)
    scaler, split = model.dataset.preprocessing["scaler"], model.dataset.test
    letters = model.dataset.preprocessing["target_vocabulary"]
    images, names = [], []
    for place in range(len(split)):
        image = split.inputs.example(place) * scaler["std"][0] + scaler["mean"][0]
        images.append(json.dumps({"inputs": np.round(image).tolist()}))
        names.append("".join(letters[label] for label in split.targets.example(place)[:-1]))
    (tmp_path / "asked.jsonl").write_text("\n".join(images), "utf-8")
    found = [row["answer"] for row in ask(model.folder, tmp_path / "asked.jsonl")]
    right = [one == name for one, name in zip(found, names, strict=True)]
    assert np.mean(right) == pytest.approx(model.metrics["sequence_accuracy"])


def test_transcriptions_of_recordings(
    load_once: Callable[[str], Any],
    benchmark_cache: Callable[[str], Path],
    tmp_path: Path,
    train: Train,
    ask: Answer,
    refused: Refused,
) -> None:
    whole = load_once("spoken_digits_ctc")
    splits = {
        name: getattr(whole, name).select(np.arange(8)) for name in ("train", "valid", "test")
    }
    model = train(
        tmp_path / "best",
        {"name": "spoken_digits_ctc"},
        dataset=replace(whole, **splits),
        epochs=40,
    )
    scaler, split = whole.preprocessing["scaler"], model.dataset.test
    lines, wanted = [], []
    for place in range(len(split)):
        frames = split.inputs.example(place) * scaler["std"] + scaler["mean"]
        lines.append(json.dumps({"inputs": frames.tolist()}))
        wanted.append([int(digit) for digit in split.targets.example(place)])
    (tmp_path / "asked.jsonl").write_text("\n".join(lines), "utf-8")
    found = [row["answer"] for row in ask(model.folder, tmp_path / "asked.jsonl")]
    assert any(found)
    edits = sum(
        edit_distance([*map(int, one.split())], other)
        for one, other in zip(found, wanted, strict=True)
    )
    rate = edits / sum(map(len, wanted))
    assert rate == pytest.approx(model.metrics["label_error_rate"], abs=0.02)

    recordings = benchmark_cache("spoken_digits_ctc") / "fsdd" / "recordings"
    spoken = ask(model.folder, recordings / "7_theo_0.wav")
    assert [row["row"] for row in spoken] == ["1"]
    with wave.open(str(tmp_path / "fast.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(bytes(8_000))
    assert "8000 Hz" in refused(model.folder, tmp_path / "fast.wav")
    assert "there is no file" in refused(model.folder, tmp_path / "none.wav")
