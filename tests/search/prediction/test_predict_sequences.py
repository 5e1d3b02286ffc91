"""Models whose answers have a length of their own: words, letters and labels, as text."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from trainers.benchmarks import load_benchmark
from trainers.data.dataset import Dataset
from trainers.export import load

Answer = Callable[..., list[dict[str, str]]]
Train = Callable[..., Any]
Own = Callable[..., dict[str, Any]]
NUMBERS = {"null": "zero", "eins": "one", "zwei": "two", "drei": "three"}


def pairs() -> list[tuple[str, str]]:
    random = np.random.default_rng(0)
    drawn = [random.choice([*NUMBERS], random.integers(1, 4)) for _ in range(120)]
    return [(" ".join(row), " ".join(NUMBERS[word] for word in row)) for row in drawn]


@pytest.mark.parametrize("as_table", [True, False])
def test_translations(tmp_path: Path, ask: Answer, train: Train, own: Own, as_table: bool) -> None:
    if as_table:
        rows = ["de\ten", *("\t".join(pair) for pair in pairs())]
        files = [tmp_path / "pairs.tsv"]
        files[0].write_text("\n".join(rows) + "\n", "utf-8")
        asked = tmp_path / "new.tsv"
        asked.write_text("de\nzwei eins\ndrei Pferde\n", "utf-8")
    else:
        files = [tmp_path / "train.de", tmp_path / "train.en"]
        for side, file in enumerate(files):
            file.write_text("\n".join(pair[side] for pair in pairs()) + "\n", "utf-8")
        asked = tmp_path / "new.txt"
        asked.write_text("zwei eins\ndrei Pferde\n", "utf-8")
    best = train(tmp_path / "best", own("translation", *files), epochs=4)
    answers = ask(best.folder, asked)
    assert [answer["row"] for answer in answers] == ["1", "2"]
    known = {word: n for n, word in enumerate(best.dataset.preprocessing["vocabulary"])}
    spoken = best.dataset.preprocessing["target_vocabulary"]
    model = load(best.folder)
    for answer, words in zip(answers, (["zwei", "eins"], ["drei", "<Unknown>"]), strict=True):
        tokens = torch.tensor([[known[word] for word in words]])
        (labels,) = model.decode(tokens, torch.ones(1, 2, dtype=torch.bool), beam_width=5)
        assert answer["answer"] == " ".join(spoken[label] for label in labels)
    assert answers[0] != answers[1]


def few(name: str, examples: int) -> Dataset:
    whole = load_benchmark(name)
    splits = {
        split: getattr(whole, split).select(np.arange(examples))
        for split in ("train", "valid", "test")
    }
    return Dataset(whole.name, whole.task, preprocessing=whole.preprocessing, **splits)


def raw(dataset: Dataset, row: int) -> list[list[float]]:
    """Inputs in the benchmark's units."""
    scaler = dataset.preprocessing["scaler"]
    values = dataset.test.inputs.example(row) * scaler["std"] + scaler["mean"]
    return [list(map(float, step)) for step in values]


@pytest.mark.parametrize("name", ["digits_spelled", "spoken_digits_ctc"])
def test_letters_and_labels(
    name: str, tmp_path: Path, ask: Answer, train: Train, benchmark_cache: Callable[[str], Path]
) -> None:
    benchmark_cache(name)
    data = few(name, 200 if name == "digits_spelled" else 8)
    best = train(tmp_path / "best", {"name": name}, dataset=data, epochs=4)
    asked = tmp_path / "asked.jsonl"
    asked.write_text("".join(json.dumps({"inputs": raw(data, row)}) + "\n" for row in range(6)))
    answers = [answer["answer"] for answer in ask(best.folder, asked)]
    assert len(answers) == 6
    if name == "digits_spelled":
        assert all(answer.isalpha() for answer in answers)
    else:
        assert {label for answer in answers for label in answer.split()} <= set("0123456789")
