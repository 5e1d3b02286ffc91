"""Models of shared benchmarks are asked by lines of JSON, in the benchmark's units."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainers.benchmarks.conllu_files import read_conllu
from trainers.prediction.benchmark_files import read_benchmark_file

Answer = Callable[..., list[dict[str, str]]]
Refused = Callable[..., str]
Train = Callable[..., Any]
LoadOnce = Callable[[str], Any]
CacheOf = Callable[[str], Path]


def test_images_of_a_benchmark_in_its_own_units(tmp_path: Path, ask: Answer, train: Train) -> None:
    model = train(tmp_path / "best", {"name": "digits_rows"}, epochs=1)
    scaler = model.dataset.preprocessing["scaler"]
    split = model.dataset.test
    raw = [
        split.inputs.example(place) * scaler["std"][0] + scaler["mean"][0]
        for place in range(len(split))
    ]
    assert np.max(raw) == 16
    lines = [json.dumps({"inputs": np.round(image).tolist()}) for image in raw]
    (tmp_path / "asked.jsonl").write_text("\n".join(lines), "utf-8")
    rows = ask(model.folder, tmp_path / "asked.jsonl")
    labels = [str(int(split.targets.example(place)[0])) for place in range(len(split))]
    assert model.accuracy(rows, labels) == pytest.approx(model.metrics["accuracy"])


@pytest.mark.parametrize(
    ("benchmark", "line", "columns"),
    [
        ("adding", {"inputs": [[0.5, 1], [0.25, 0], [0.1, 1]]}, ["row", "target"]),
        ("parity", {"inputs": [1, 0, 1]}, ["row", "predicted", "probability_even"]),
        ("embedded_reber", {"inputs": "BTBTX"}, ["row", "position", "word", "tag"]),
        ("embedded_reber", {"inputs": ["B", "T"]}, ["row", "position", "word", "tag"]),
        ("copy_memory", {"inputs": [1, 2, 0, 9]}, ["row", "position", "word", "tag"]),
    ],
)
def test_generated_benchmarks_are_asked_line_by_line(
    benchmark: str,
    line: dict[str, Any],
    columns: list[str],
    tmp_path: Path,
    ask: Answer,
    refused: Refused,
    train: Train,
) -> None:
    few = {"train_examples": 32, "valid_examples": 8, "test_examples": 8}
    length = {} if benchmark == "embedded_reber" else {"length": 10}
    model = train(tmp_path / "best", {"name": benchmark, **few, **length}, epochs=1)
    (tmp_path / "asked.jsonl").write_text(json.dumps(line), "utf-8")
    rows = ask(model.folder, tmp_path / "asked.jsonl")
    assert list(rows[0])[: len(columns)] == columns
    assert len(rows) == (len(line["inputs"]) if "position" in columns else 1)
    for wrong in ('{"inputs": [["Q", 7, 1]]}', '{"inputs": []}', '{"x": 1}', "[1]", "1 2"):
        (tmp_path / "wrong.jsonl").write_text(wrong, "utf-8")
        assert "line 1" in refused(model.folder, tmp_path / "wrong.jsonl")
    (tmp_path / "wrong.csv").write_text("x\n1\n", "utf-8")
    assert "must be a .jsonl file" in refused(model.folder, tmp_path / "wrong.csv")


def raw(model: Any, name: str = "scaler") -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Inputs and targets of the test split before they were scaled."""
    scaler = {"mean": 0.0, "std": 1.0} | model.dataset.preprocessing.get(name, {})
    mean, std = np.array(scaler["mean"]), np.array(scaler["std"])
    split, size = model.dataset.test, mean.size
    places = range(len(split))
    return (
        [split.inputs.example(place) * std + mean for place in places],
        [split.targets.example(place)[:, :size] * std + mean for place in places],
    )


@pytest.fixture
def few(load_once: LoadOnce, train: Train, tmp_path: Path) -> Callable[[str], Any]:
    """A model of a few examples of a real benchmark."""

    def trained(name: str) -> Any:
        whole = load_once(name)
        splits = {
            split: getattr(whole, split).select(np.arange(40))
            for split in ("train", "valid", "test")
        }
        return train(tmp_path / "best", {"name": name}, dataset=replace(whole, **splits), epochs=1)

    return trained


def test_forecasts_of_a_benchmark(few: Callable[[str], Any], ask: Answer, tmp_path: Path) -> None:
    model = few("ett_h1")
    inputs, targets = raw(model)
    lines = [json.dumps({"inputs": values.tolist()}) for values in inputs]
    (tmp_path / "asked.jsonl").write_text("\n".join(lines), "utf-8")
    rows = ask(model.folder, tmp_path / "asked.jsonl")
    names = model.dataset.preprocessing["channels"]
    assert list(rows[0]) == ["row", "position", *names]
    found = np.array([[float(row[name]) for name in names] for row in rows])
    off = (found - np.concatenate(targets)) / model.dataset.preprocessing["scaler"]["std"]
    assert np.square(off).mean() == pytest.approx(model.metrics["mse"], rel=1e-3)


def test_numbers_and_label_sets_of_benchmarks(
    few: Callable[[str], Any], ask: Answer, refused: Refused, tmp_path: Path
) -> None:
    model = few("mackey_glass")
    inputs, targets = raw(model)
    lines = [json.dumps({"inputs": values[:, 0].tolist()}) for values in inputs]
    (tmp_path / "asked.jsonl").write_text("\n".join(lines), "utf-8")
    rows = ask(model.folder, tmp_path / "asked.jsonl")
    off = [float(row["target"]) - target.item() for row, target in zip(rows, targets, strict=True)]
    std = model.dataset.preprocessing["scaler"]["std"][0]
    assert np.square(np.array(off) / std).mean() == pytest.approx(model.metrics["mse"], rel=1e-3)

    model = few("jsb_chorales")
    split = model.dataset.test
    pieces = [split.inputs.example(place).tolist() for place in range(len(split))]
    lines = [json.dumps({"inputs": piece}) for piece in pieces]
    (tmp_path / "asked.jsonl").write_text("\n".join(lines), "utf-8")
    rows = ask(model.folder, tmp_path / "asked.jsonl")
    found = np.array([[float(row[f"probability_{key}"]) for key in range(88)] for row in rows])
    sounds = np.concatenate([split.targets.example(place) for place in range(len(split))]) == 1
    nats = -np.log(np.where(sounds, found, 1 - found)).sum() / len(rows)
    assert nats == pytest.approx(model.metrics["nats_per_frame"], rel=1e-3)
    (tmp_path / "wrong.jsonl").write_text('{"inputs": [[1, 0]]}', "utf-8")
    assert "list of 88 numbers" in refused(model.folder, tmp_path / "wrong.jsonl")


def test_words_of_benchmarks(
    few: Callable[[str], Any], ask: Answer, benchmark_cache: CacheOf, tmp_path: Path
) -> None:
    folder = benchmark_cache("ud_english_ewt") / "ud_english_ewt"
    test = folder / "en_ewt-ud-test.conllu"
    for name, suffix, between, after in (
        ("rotten_tomatoes", "txt", " ", "\n"),
        ("ud_english_ewt", "conll", "\n", "\n\n"),
    ):
        model = few(name)
        split = model.dataset.test
        if name == "rotten_tomatoes":
            words = model.dataset.preprocessing["vocabulary"]
            texts = [[words[token] for token in split.inputs.example(n)] for n in range(len(split))]
        else:  # as they are spelt, which tells of unknown ones, too
            texts = [list(sentence.words) for sentence in read_conllu(test)[: len(split)]]
            assert "`trainers.spelling.spelt`" in (model.folder / "README.md").read_text("utf-8")
        file = tmp_path / f"asked.{suffix}"
        file.write_text("".join(between.join(text) + after for text in texts), "utf-8")
        rows = ask(model.folder, file)
        numbers = np.concatenate([split.targets.example(place) for place in range(len(split))])
        labels = [model.dataset.preprocessing["classes"][number] for number in numbers]
        answers = rows if "predicted" in rows[0] else [{"predicted": r["tag"]} for r in rows]
        assert model.accuracy(answers, labels) == pytest.approx(model.metrics["accuracy"])
        (tmp_path / "asked.jsonl").write_text(
            "\n".join(json.dumps({"inputs": text}) for text in texts), "utf-8"
        )
        assert [list(row.values())[2:] for row in ask(model.folder, tmp_path / "asked.jsonl")] == [
            list(row.values())[2:] for row in rows
        ]


def test_pixels_are_put_in_the_order_of_training(tmp_path: Path) -> None:
    (tmp_path / "asked.jsonl").write_text('{"inputs": [10, 20, 30]}', "utf-8")
    kept = {
        "task": {"name": "classification", "input_size": 1, "vocabulary": None},
        "scaler": {"mean": [10], "std": [10]},
        "order": [2, 0, 1],
    }
    asked = read_benchmark_file(tmp_path / "asked.jsonl", kept)
    assert asked.sequences.example(0).tolist() == [[2], [0], [1]]
