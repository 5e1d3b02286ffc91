"""Detectors watch new streams: the alarms of the evaluation, and the steps at which they fire."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainers.benchmarks.nab import first_steps
from trainers.data.batching import DeviceData
from trainers.export import load
from trainers.export.folder import read_preprocessing
from trainers.tasks.anomalies import alarm
from trainers.training.evaluation import measure_split

Answer = Callable[..., list[dict[str, str]]]
Train = Callable[..., Any]
STEPS = 240
ODD = (100, 172, 190, *range(220, 232, 2))


def value(machine: int, step: int) -> float:
    return round(float(np.sin(step / (3 + machine))) + (step in ODD) * 9, 3)


def table(file: Path, machines: range, steps: range, *, marked: bool = True) -> Path:
    lines = [
        f"m{machine},{step},{value(machine, step)}" + f",{int(step in ODD)}" * marked
        for machine in machines
        for step in steps
    ]
    file.write_text("\n".join([f"id,t,temperature{',anomaly' * marked}", *lines]) + "\n")
    return file


@pytest.fixture
def detector(tmp_path: Path, train: Train) -> Any:
    data = table(tmp_path / "machines.csv", range(2), range(STEPS))
    benchmark = {"name": "own_data", "task": "anomaly_detection", "data": [str(data)]}
    return train(tmp_path / "best", benchmark, epochs=6)


def test_alarms_are_those_of_the_test_split(detector: Any, ask: Answer, tmp_path: Path) -> None:
    # the rows of the test split with those before it that it begins with
    start = 204 - first_steps(STEPS)
    rows = ask(
        detector.folder, table(tmp_path / "new.csv", range(2), range(start, STEPS), marked=False)
    )
    assert list(rows[0]) == ["id", "t", "temperature", "alarm", "anomaly"]
    assert [(row["id"], int(row["t"])) for row in rows] == [
        (f"m{machine}", step) for machine in range(2) for step in range(start, STEPS)
    ]
    assert [float(row["temperature"]) for row in rows[:3]] == [
        value(0, step) for step in range(start, start + 3)
    ]
    task, _ = read_preprocessing(detector.folder)
    measured = measure_split(
        load(detector.folder), DeviceData(detector.dataset).test, task, final=True
    )
    assert task.summarize(measured) == pytest.approx(detector.metrics)
    steps = measured["steps"]
    for number, part in enumerate(np.split(np.arange(len(rows)), 2)):
        errors = steps[..., 0][steps[..., 3] == number].astype(float)
        assert rows[part[0]]["alarm"] == ""  # nobody foretold the first
        found = [float(rows[row]["alarm"]) for row in part[1:]]
        np.testing.assert_allclose(found, alarm(errors), rtol=1e-3, atol=1e-3)
        fired = [rows[row]["anomaly"] == "1" for row in part]
        judged = np.arange(len(part)) >= first_steps(len(part))
        assert fired[1:] == list((np.array(found) >= task.thresholds[0]) & judged[1:])
    odd = [row for row in rows if int(row["t"]) in range(220, 232)]
    assert "1" in {row["anomaly"] for row in odd}


def test_a_new_machine_is_scaled_by_its_first_steps(
    detector: Any, ask: Answer, tmp_path: Path
) -> None:
    rows = ask(detector.folder, table(tmp_path / "new.csv", range(7, 8), range(STEPS)))
    assert {row["id"] for row in rows} == {"m7"}
    assert all(row["anomaly"] == "0" for row in rows[: first_steps(STEPS)])
    assert "1" in {row["anomaly"] for row in rows if int(row["t"]) in ODD}


def test_a_stream_of_one_step_is_refused(
    detector: Any, refused: Callable[..., str], tmp_path: Path
) -> None:
    told = refused(detector.folder, table(tmp_path / "new.csv", range(1), range(1)))
    assert "at least 2 steps" in told


def test_models_of_the_benchmark_watch_raw_values(
    load_once: Callable[[str], Any], train: Train, ask: Answer, tmp_path: Path
) -> None:
    whole, some = load_once("nab"), np.arange(6)
    few = replace(
        whole,
        train=whole.train.select(some),
        valid=whole.valid.select(some),
        test=whole.test.select(some),
    )
    model = train(tmp_path / "best", {"name": "nab"}, dataset=few, epochs=1)
    (tmp_path / "asked.jsonl").write_text(
        f'{{"inputs": {[float(n % 7) for n in range(60)]}}}', "utf-8"
    )
    rows = ask(model.folder, tmp_path / "asked.jsonl")
    assert list(rows[0]) == ["row", "position", "alarm", "anomaly"]
    assert len(rows) == 60
