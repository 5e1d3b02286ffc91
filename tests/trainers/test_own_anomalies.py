"""A user's own streams with marks of anomalies: what becomes of them, in known numbers."""

from collections.abc import Sequence
from dataclasses import replace
from math import asinh
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spaces import default
from trainers.catalog import family_space
from trainers.data.batching import DeviceData
from trainers.data.dataset import Dataset, Split
from trainers.models import MODELS
from trainers.own_data import OwnData, describe, load_own_data
from trainers.own_data.anomalies import numbered_windows
from trainers.tasks import AnomalyDetection
from trainers.training.evaluation import fitted_task, measure_split
from trainers.training.loop import Training
from trainers.trivial.baselines import baselines

STEPS = 200
ODD = {"a": (50, 51, 152, 153, 154, 190), "b": (20, 160, 180, 181)}
"""Of each machine the steps with something wrong; 140 and 170 are where valid and test begin."""


def value(machine: str, step: int) -> float:
    usual = np.sin(step / 3) * (10 if machine == "b" else 1)
    return round(float(usual) + (step in ODD[machine]) * 40, 4)


def rows(machines: Sequence[str] = "ab", marks: tuple[str, str] = ("0", "1")) -> list[str]:
    return [
        f"{machine},{step},{value(machine, step)},{marks[step in ODD[machine]]}"
        for machine in machines
        for step in range(STEPS)
    ]


def load(folder: Path, lines: Sequence[str], **more: Any) -> Dataset:
    file = folder / "machines.csv"
    file.write_text("\n".join(["id,t,temperature,anomaly", *lines]) + "\n")
    return load_own_data(
        OwnData.from_mapping({"data": str(file), "task": "anomaly_detection", **more})
    )


def streams(split: Split) -> list[np.ndarray]:
    """(steps, 4) the targets of each stream."""
    steps = np.concatenate([split.targets.example(place) for place in range(len(split))])
    return [steps[steps[:, 3] == number] for number in np.unique(steps[:, 3])]


def test_columns_are_inferred_and_shown(tmp_path: Path) -> None:
    dataset = load(tmp_path, rows())
    assert dataset.task == AnomalyDetection()
    told = describe(dataset)
    for line in (
        "time: t (inferred)",
        "id: id (inferred)",
        "target: anomaly (inferred)",
        "covariates: temperature (inferred)",
        "anomaly: 10 of 400 rows are marked",
        "2 series of 200 steps, 1 apart",
        "split: by time, at once for all series: valid from 140, test from 170",
        "anomalies: 1 train / 2 valid / 2 test; steps in a row that are marked alike are one",
    ):
        assert line in told, told


def test_each_part_begins_with_steps_of_the_one_before(tmp_path: Path) -> None:
    dataset = load(tmp_path, rows())
    for split, start, stop in ((dataset.valid, 140, 170), (dataset.test, 170, 200)):
        for stream, machine in zip(streams(split), "ab", strict=True):
            # 30 steps before, the first of which is no target
            assert len(stream) == stop - start + 30 - 1
            assert stream[:, 2].tolist() == [0] * 29 + [1] * 30
            odd = [step in ODD[machine] for step in range(start - 29, stop)]
            assert (stream[:, 1] > 0).tolist() == odd
    train = streams(dataset.train)
    assert [len(stream) for stream in train] == [139, 139]
    assert train[0][:, 2].tolist() == [0] * 29 + [1] * 110


def test_values_are_scaled_by_the_train_part_of_their_series(tmp_path: Path) -> None:
    dataset = load(tmp_path, rows())
    for machine, stream in zip("ab", streams(dataset.test), strict=True):
        train = np.array([value(machine, step) for step in range(140)])
        scaler = dataset.preprocessing["series"][machine]
        assert scaler["mean"] == pytest.approx([train.mean()])
        assert scaler["std"] == pytest.approx([train.std()])
        last = asinh((value(machine, 199) - train.mean()) / train.std())
        assert stream[-1, 0] == pytest.approx(last, abs=1e-5)


@pytest.mark.parametrize(
    ("codes", "marked", "expected"),
    [
        ([0, 1, 1, 0, 1], [0, 1, 1, 0, 1], [0, 1, 1, 0, 2]),
        ([1, 1, 2, 2, 0], [1, 1, 1, 1, 0], [1, 1, 2, 2, 0]),
    ],
)
def test_steps_in_a_row_that_are_marked_alike_are_one_window(
    codes: list[int], marked: list[int], expected: list[int]
) -> None:
    found = numbered_windows(np.array(codes), np.array(marked, dtype=bool))
    assert found.tolist() == expected


@pytest.mark.parametrize("marks", [("", "leak"), ("no", "yes"), ("False", "true"), ("0.0", "1.0")])
def test_marks_in_many_writings(marks: tuple[str, str], tmp_path: Path) -> None:
    plain, written = load(tmp_path, rows()), load(tmp_path, rows(marks=marks))
    np.testing.assert_array_equal(plain.test.targets.values, written.test.targets.values)


def test_several_values_are_watched_together(tmp_path: Path) -> None:
    file = tmp_path / "two.csv"
    lines = [
        f"{step},{value('a', step)},{value('b', step)},{int(step in ODD['a'])}"
        for step in range(STEPS)
    ]
    file.write_text("\n".join(["t,x,y,label", *lines]) + "\n")
    dataset = load_own_data(OwnData(data=(str(file),), task="anomaly_detection"))
    assert dataset.task == AnomalyDetection(input_size=2)
    assert dataset.test.targets.values.shape[1] == 5
    training = trained(dataset)
    steps = measure_split(training.model, DeviceData(dataset).test, dataset.task)["steps"]
    assert steps.shape[2] == 4
    assert np.isfinite(training.evaluate("test").metrics["mse"])


def trained(dataset: Dataset) -> Training:
    config = default(family_space(MODELS["gru"], dataset.task, len(dataset.train)))
    config["training"]["optimizer"]["learning_rate"] = 0.01
    config["model"]["hidden_size"] = 16
    training = Training(MODELS["gru"], config, DeviceData(dataset), seed=0, epochs=10)
    while training.epoch < 10:
        training.run_epoch()
    return training


def test_a_small_model_finds_what_trivial_ones_find(tmp_path: Path) -> None:
    odd = {440, 480, *range(540, 550)}  # the last part of them lasts, and so is told easily
    noise = np.random.default_rng(0).normal(size=600)
    lines = [
        f"a,{step},{np.sin(step / 3) + (step in odd) * 4 * noise[step]:.4f},{int(step in odd)}"
        for step in range(600)
    ]
    dataset = load(tmp_path, lines)
    found = {row.name: row.test["window_recall"] for row in baselines(dataset)}
    assert found["last value"] == 1.0
    tested = trained(dataset).evaluate("test").metrics
    assert tested["window_recall"] == 1.0
    assert tested["window_f1"] > 0.5


def test_thresholds_are_of_the_validation_split_alone(tmp_path: Path) -> None:
    training = trained(load(tmp_path, rows()))
    data = DeviceData(load(tmp_path, rows()))
    fitted = fitted_task(training.model, data)
    others = replace(data.task, thresholds=None)
    assert others.thresholds is None
    assert len(fitted.thresholds) == 4


def test_files_of_their_own_may_hold_other_machines(tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text("\n".join(["id,t,temperature,anomaly", *rows("b")]) + "\n")
    dataset = load(tmp_path, rows("a"), valid=str(other), test=str(other))
    assert list(dataset.preprocessing["series"]) == ["a"]
    (stream,) = streams(dataset.valid)
    first = np.array([value("b", step) for step in range(30)])
    last = asinh((value("b", 199) - first.mean()) / first.std())
    assert stream[-1, 0] == pytest.approx(last, abs=1e-5)
    assert stream[:, 2].sum() == STEPS - 30


@pytest.mark.parametrize(
    ("lines", "more", "words"),
    [
        (rows(marks=("0", "0")), {}, "must mark at least one anomaly in valid"),
        (rows(marks=("1", "1")), {}, "must leave the usual rows unmarked"),
        (rows()[:2], {}, "must have|at least"),
        (rows(), {"target": "broken"}, "no column 'broken'"),
        (rows(), {"covariates": ["anomaly"], "target": "anomaly"}, "must have one role"),
        (rows(), {"horizon": 3}, "`horizon` has no meaning in anomaly_detection"),
        (rows(), {"target": ["anomaly", "t"]}, "`target` must be one column"),
    ],
)
def test_what_is_wrong_is_said(
    lines: list[str], more: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=words):
        load(tmp_path, lines, **more)


def test_most_rows_marked_is_a_warning(tmp_path: Path) -> None:
    told = describe(load(tmp_path, rows(marks=("1", "0"))))
    assert any("the other way round" in line for line in told)
