"""Sequences in tables: classes and numbers are those that `evaluate` judges."""

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet
import pytest

Answer = Callable[..., list[dict[str, str]]]
Refused = Callable[..., str]
Train = Callable[..., Any]
Own = Callable[..., dict[str, Any]]
Predict = Callable[..., int]


def steps_table(sequences: int, *, seed: int, with_label: bool = True) -> str:
    """Ragged sequences that rise or fall, noisily, named out of order."""
    random = np.random.default_rng(seed)
    lines = ["sequence,t,x,z,label,size" if with_label else "z,sequence,x,t"]
    for number in range(sequences):
        name, rises = f"s{(7 * number) % sequences}", random.random() < 0.5
        for t in range(int(random.integers(3, 9))):
            x = (t if rises else -t) + random.normal(scale=4)
            z = random.normal()
            label = "up, steadily" if rises else "down"
            row = [name, t, f"{x:.4f}", f"{z:.4f}", f'"{label}"', 100 + 3 * rises]
            row = row if with_label else [f"{z:.4f}", name, f"{x:.4f}", t]
            lines.append(",".join(map(str, row)))
    return "\n".join(lines)


@pytest.fixture(scope="module")
def sequences(
    tmp_path_factory: pytest.TempPathFactory,
    train: Train,
    own: Own,
) -> Any:
    folder = tmp_path_factory.mktemp("sequences")
    for seed, name in enumerate(("train", "valid", "test")):
        (folder / f"{name}.csv").write_text(steps_table(60, seed=seed), "utf-8")
    (folder / "asked.csv").write_text(steps_table(60, seed=2, with_label=False), "utf-8")
    fields = {
        "valid": [str(folder / "valid.csv")],
        "test": [str(folder / "test.csv")],
        "id": "sequence",
        "time": "t",
        "covariates": ["x", "z"],
    }
    source = own("classification", folder / "train.csv", target="label", **fields)
    train(folder / "regression", {**source, "task": "regression", "target": "size"})
    return train(folder / "best", source)


def test_classes_of_sequences_are_those_that_evaluate_judges(sequences: Any, ask: Answer) -> None:
    folder = sequences.folder.parent
    rows = ask(sequences.folder, folder / "asked.csv")
    assert list(rows[0]) == [
        "sequence",
        "predicted",
        "probability_down",
        "probability_up, steadily",
    ]
    with (folder / "test.csv").open() as file:
        labels = {row["sequence"]: row["label"] for row in csv.DictReader(file)}
    assert [row["sequence"] for row in rows] == list(labels)  # in the order of the file
    right = [row["predicted"] == labels[row["sequence"]] for row in rows]
    assert np.mean(right) == pytest.approx(sequences.metrics["accuracy"])
    surprise = [-math.log(float(row[f"probability_{labels[row['sequence']]}"])) for row in rows]
    assert np.mean(surprise) == pytest.approx(sequences.metrics["log_loss"], rel=1e-4)
    # with the answers in it, the file says the same
    assert ask(sequences.folder, folder / "test.csv") == rows


def test_numbers_are_in_units_of_the_target(sequences: Any, ask: Answer) -> None:
    folder = sequences.folder.parent
    rows = ask(folder / "regression", folder / "asked.csv")
    with (folder / "test.csv").open() as file:
        sizes = {row["sequence"]: float(row["size"]) for row in csv.DictReader(file)}
    kept = json.loads((folder / "regression" / "preprocessing.json").read_text("utf-8"))
    metrics = json.loads((folder / "regression" / "metrics.json").read_text("utf-8"))["test"]
    off = [float(row["size"]) - sizes[row["sequence"]] for row in rows]
    assert max(abs(float(row["size"]) - 101.5) for row in rows) < 5
    scaled = np.square(np.array(off) / kept["target_scaler"]["std"][0])
    assert scaled.mean() == pytest.approx(metrics["mse"], rel=1e-4)


def test_answers_are_written_in_every_format(sequences: Any, ask: Answer, predict: Predict) -> None:
    folder = sequences.folder.parent
    rows = ask(sequences.folder, folder / "asked.csv")
    for name in ("out.csv", "out.json", "out.jsonl", "out.parquet"):
        assert predict(sequences.folder, folder / "asked.csv", "-o", folder / name) == 0
    assert list(csv.DictReader((folder / "out.csv").read_text("utf-8").splitlines())) == rows
    as_json = json.loads((folder / "out.json").read_text("utf-8"))
    assert [{k: str(v) for k, v in row.items()} for row in as_json] == rows
    lines = (folder / "out.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == as_json
    assert pa_parquet.read_table(folder / "out.parquet").to_pylist() == as_json
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_the_same_table_may_be_parquet_or_json_lines(sequences: Any, ask: Answer) -> None:
    folder = sequences.folder.parent
    rows = ask(sequences.folder, folder / "asked.csv")
    table = pa_csv.read_csv(folder / "asked.csv")
    pa_parquet.write_table(table, folder / "asked.parquet")
    (folder / "asked.jsonl").write_text("\n".join(map(json.dumps, table.to_pylist())), "utf-8")
    assert ask(sequences.folder, folder / "asked.parquet") == rows
    assert ask(sequences.folder, folder / "asked.jsonl") == rows


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.csv", "sequence,x,y\na,1,2\n", ["lacks 't', 'z'", "it has 'sequence', 'x', 'y'"]),
        ("a.csv", "", ["empty file"]),
        ("a.csv", "sequence,t,x,z\n", ["must have rows"]),
        ("a.csv", "sequence,t,x,z\na,1,inf,2\n", ["row 1", "'x'", "finite"]),
        ("a.csv", "sequence,t,x,z\na,1,2,2\na,2,,2\n", ["row 2", "'x'", "nothing"]),
        ("a.csv", "sequence,t,x,z\na,2,2,2\na,1,0,2\n", ["row 2", "'t'", "must grow"]),
        ("a.ts", "@data\n1,2:a\n", ["of the kind that the model was trained on", ".csv"]),
        ("a.txt", "a text\n", ["of the kind that the model was trained on", ".csv"]),
        ("a.doc", "a text\n", ["must end in one of"]),
    ],
)
def test_wrong_files_are_refused(
    sequences: Any, refused: Refused, tmp_path: Path, name: str, text: str, words: list[str]
) -> None:
    (tmp_path / name).write_text(text, "utf-8")
    told = refused(sequences.folder, tmp_path / name, "-o", tmp_path / "out.csv")
    assert all(word in told for word in words), told
    assert [path.name for path in tmp_path.iterdir()] == [name]  # nothing is written


def test_wrong_outputs_and_folders_are_refused(
    sequences: Any, refused: Refused, tmp_path: Path
) -> None:
    asked = sequences.folder.parent / "asked.csv"
    assert "must end in one of .csv" in refused(sequences.folder, asked, "-o", tmp_path / "out")
    assert "no folder" in refused(sequences.folder, asked, "-o", tmp_path / "no" / "out.csv")
    assert "another file" in refused(sequences.folder, asked, "-o", asked)
    assert "--output" in refused(sequences.folder, asked, "--format", "parquet")
    assert "a table" in refused(sequences.folder, asked, "--format", "text")
    assert "no exported model" in refused(tmp_path, asked)
    assert "there is no file" in refused(sequences.folder, tmp_path / "no.csv")


def test_code_of_ones_own_is_run_only_with_trust(
    sequences: Any, ask: Answer, refused: Refused, tmp_path: Path, train: Train, own: Own
) -> None:
    folder = sequences.folder.parent
    source = own(
        "classification", folder / "train.csv", target="label", id="sequence", covariates=["x"]
    )
    model = train(tmp_path / "best", source, own_model=True, epochs=1)
    assert "--trust" in refused(model.folder, folder / "asked.csv")
    assert len(ask(model.folder, folder / "asked.csv", "--trust")) == 60
