"""Forecasting: the windows see nothing of the future, the metrics are those of raw values."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spaces import default
from trainers.benchmarks.scaling import Scaler
from trainers.benchmarks.windows import Series, Yardstick, cut_windows
from trainers.catalog import family_space
from trainers.data.batching import DeviceData
from trainers.data.dataset import Dataset, Split
from trainers.model import SequenceModel, build_model
from trainers.models import MODELS
from trainers.tasks import Forecasting, task_from_json
from trainers.training.loop import Training
from trainers.trivial.baselines import baselines

LOOK_BACK, HORIZON = 6, 3


def random_series(
    steps: int = 60, *, channels: int = 2, past: int = 1, known: int = 1, seed: int = 0
) -> Series:
    rng = np.random.default_rng(seed)
    values = rng.normal(50, 10, (steps, channels))
    return Series(
        values,
        rng.normal(size=(steps, past)),
        rng.normal(size=(steps, known)),
        valid_from=steps * 6 // 10,
        test_from=steps * 8 // 10,
        yardstick=Yardstick.fit(values[: steps * 6 // 10], 4),
    )


def dataset_of(*series: Series, season: int = 4) -> Dataset:
    train, valid, test = cut_windows(series, look_back=LOOK_BACK, horizon=HORIZON)
    channels, known = series[0].values.shape[1], series[0].known.shape[1]
    task = Forecasting(
        input_size=train.inputs.values.shape[1],
        channels=channels,
        known=known,
        horizon=HORIZON,
        season=season,
    )
    return Dataset("made up", task, train, valid, test, {})


def splits(dataset: Dataset) -> list[Split]:
    return [dataset.train, dataset.valid, dataset.test]


# windows


def test_windows_are_the_series_and_nothing_is_copied() -> None:
    one, other = random_series(60), random_series(47, seed=1)
    dataset = dataset_of(one, other)
    arrays = {id(split.inputs.values) for split in splits(dataset)}
    assert len(arrays) == 1
    assert len(dataset.train.inputs.values) == 60 + 47
    _, parts = dataset.to_parts()
    assert sum(name.endswith("/values") for name in parts) == 2
    scaled = one.yardstick.scaler.apply(one.values)
    for first in (0, 7, 36 - LOOK_BACK - HORIZON):
        inputs, targets = (
            side.example(first) for side in (dataset.train.inputs, dataset.train.targets)
        )
        now = slice(first, first + LOOK_BACK)
        ahead = slice(first + HORIZON, first + HORIZON + LOOK_BACK)
        assert (inputs[:, :2] == scaled[now]).all()
        assert (inputs[:, 2:3] == one.past[now].astype(np.float32)).all()
        assert (inputs[:, 3:4] == one.known[now].astype(np.float32)).all()
        assert (inputs[:, 4:5] == one.known[ahead].astype(np.float32)).all()
        later = slice(first + LOOK_BACK, first + LOOK_BACK + HORIZON)
        assert (targets[:, :2] == scaled[later]).all()
        # the last steps of the inputs hold what is known of the steps asked for
        assert (inputs[-HORIZON:, 4:5] == one.known[later].astype(np.float32)).all()


def test_every_window_is_there_once_and_targets_stay_in_their_split() -> None:
    one, other = random_series(60), random_series(50, seed=1)
    dataset = dataset_of(one, other)
    for number, split in enumerate(splits(dataset)):
        expected = []
        for begin, series in ((0, one), (60, other)):
            borders = [0, series.valid_from, series.test_from, len(series.values)]
            low, high = borders[number : number + 2]
            expected += [
                begin + first
                for first in range(len(series.values))
                if first - LOOK_BACK >= 0 and low <= first and first + HORIZON <= high
            ]
        assert split.targets.starts.tolist() == expected
        assert (split.inputs.starts + LOOK_BACK == split.targets.starts).all()


@given(st.integers(0, 2**16), st.integers(LOOK_BACK, 60 - HORIZON), st.booleans())
def test_no_window_sees_what_is_not_known_yet(seed: int, now: int, more: bool) -> None:
    """Another future from step `now` on leaves every window whose targets begin there as it was.

    Covariates known ahead are known up to `horizon` steps on, and not further.
    """
    series = random_series(seed=seed)
    rng = np.random.default_rng(seed + 1)

    def other_from(array: np.ndarray, step: int) -> np.ndarray:
        changed = array.copy()
        changed[step:] += 100 + rng.normal(size=changed[step:].shape)
        return changed

    other = replace(
        series,
        values=other_from(series.values, now),
        past=other_from(series.past, now),
        known=other_from(series.known, now + HORIZON) if more else series.known,
    )
    seen, seen_other = dataset_of(series), dataset_of(other)
    for split, split_other in zip(splits(seen), splits(seen_other), strict=True):
        for index in np.flatnonzero(split.targets.starts <= now):
            assert (split.inputs.example(index) == split_other.inputs.example(index)).all()


def test_the_scaling_knows_the_train_part_alone() -> None:
    values = np.random.default_rng(0).normal(3, 2, (40, 2))
    yardstick = Yardstick.fit(values, 1)
    assert yardstick.scaler.mean == pytest.approx(values.mean(axis=0))
    assert yardstick.scaler.std == pytest.approx(values.std(axis=0))
    change = np.abs(np.diff(values, axis=0)).mean(axis=0)
    assert yardstick.naive_error * yardstick.scaler.std == pytest.approx(change)


def test_what_never_changes_over_a_season_is_measured_by_its_deviation() -> None:
    repeating = np.tile([[1.0], [5.0]], (10, 1))
    assert Yardstick.fit(repeating, 2).naive_error.tolist() == [1.0]
    assert Yardstick.fit(repeating, 1).naive_error * 2 == pytest.approx([4.0])
    constant = Yardstick.fit(np.full((9, 1), 7.0), 1)
    assert (constant.scaler.std.tolist(), constant.naive_error.tolist()) == ([1.0], [1.0])
    short = Yardstick.fit(np.array([[1.0], [2.0], [4.0]]), 24)
    assert short.naive_error * short.scaler.std == pytest.approx([1.5])
    with pytest.raises(ValueError, match="at least 2 steps, got 1"):
        Yardstick.fit(np.ones((1, 1)), 1)


def test_a_split_without_room_is_named() -> None:
    series = replace(random_series(20), valid_from=12, test_from=18)
    with pytest.raises(ValueError, match=r"test must have room for a window of 6 \+ 3 steps"):
        cut_windows([series], look_back=LOOK_BACK, horizon=HORIZON)


# metrics


def test_metrics_are_the_textbooks_on_raw_values() -> None:
    season = 4
    one, other = random_series(60), random_series(50, seed=1)
    other = replace(other, values=other.values * 1000)
    other = replace(other, yardstick=Yardstick.fit(other.values[: other.valid_from], season))
    dataset = dataset_of(one, other)
    data = DeviceData(dataset)
    batch = data.test.batch(torch.arange(data.test.examples))
    outputs = torch.randn(len(batch), HORIZON, 2, generator=torch.Generator().manual_seed(0))
    measured = dataset.task.measure(outputs.double(), batch)
    values = dataset.task.summarize({name: value.numpy() for name, value in measured.items()})
    mse, mae, mase, smape = [], [], [], []
    index = 0
    for series in (one, other):
        scaler = series.yardstick.scaler
        train = series.values[: series.valid_from]
        naive = np.abs(train[season:] - train[:-season]).mean(axis=0)
        for first in range(series.test_from, len(series.values) - HORIZON + 1):
            actual = series.values[first : first + HORIZON]
            forecast = outputs[index].numpy() * scaler.std + scaler.mean
            off = np.abs(actual - forecast)
            mse.append((off / scaler.std) ** 2)
            mae.append(off / scaler.std)
            mase.append(off / naive)
            smape.append(2 * off / (np.abs(actual) + np.abs(forecast)))
            index += 1
    assert index == len(batch)
    expected = {"mse": mse, "mae": mae, "mase": mase, "smape": smape}
    assert values == pytest.approx({name: np.mean(v) for name, v in expected.items()}, rel=1e-5)


def test_two_zeros_have_no_symmetric_error() -> None:
    zeros = replace(
        random_series(channels=1, past=0, known=0),
        values=np.zeros((60, 1)),
        yardstick=Yardstick.fit(np.zeros((36, 1)), 1),
    )
    dataset = dataset_of(zeros)
    assert baselines(dataset)[0].test == {"mse": 0.0, "mae": 0.0, "mase": 0.0, "smape": 0.0}


# baselines


def test_baselines_repeat_the_last_value_and_the_last_season() -> None:
    one, other = random_series(60), random_series(50, seed=1)
    rows = baselines(dataset_of(one, other))
    assert [row.name for row in rows] == ["last value", "seasonal naive"]
    for row, season in zip(rows, (1, 4), strict=True):
        off = [
            series.yardstick.scaler.apply(series.values)[first + step]
            - series.yardstick.scaler.apply(series.values)[first + step % season - season]
            for series in (one, other)
            for first in range(series.test_from, len(series.values) - HORIZON + 1)
            for step in range(HORIZON)
        ]
        assert row.test["mse"] == pytest.approx(np.square(off).mean(), rel=1e-5)


def test_a_season_beyond_the_look_back_is_no_baseline() -> None:
    rows = baselines(dataset_of(random_series(), season=LOOK_BACK + 1))
    assert [row.name for row in rows] == ["last value"]


def test_baselines_are_the_same_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = dataset_of(random_series())
    whole = baselines(dataset)
    monkeypatch.setattr("trainers.trivial.baselines.STEPS_AT_ONCE", 2 * HORIZON)
    for row, again in zip(whole, baselines(dataset), strict=True):
        assert again.test == pytest.approx(row.test, rel=1e-12)


# the head


def model_of(dataset: Dataset, family: str = "gru", **head: object) -> SequenceModel:
    task = dataset.task
    config = {
        "model": {"name": family, **default(MODELS[family].space(task.causal))},
        "head": default(task.head_space()) | head,
    }
    return build_model(MODELS[family], config, task, seed=0).double().eval()


def test_forecasts_begin_at_the_last_value() -> None:
    dataset = dataset_of(random_series())
    batch = DeviceData(dataset).train.batch(torch.arange(4))
    inputs = batch.inputs.double()
    relative = model_of(dataset, from_last_value=True)
    absolute = model_of(dataset, from_last_value=False)
    absolute.load_state_dict(relative.state_dict())
    change = relative(inputs, batch.mask) - absolute(inputs, batch.mask)
    torch.testing.assert_close(change, inputs[:, -1:, :2].expand(-1, HORIZON, -1))


def test_a_forecast_depends_on_what_is_known_of_its_own_step_alone() -> None:
    """But for what the backbone says: with its summary fixed, each step looks at its own."""
    dataset = dataset_of(random_series())
    batch = DeviceData(dataset).train.batch(torch.arange(4))
    head = model_of(dataset).head
    summary = torch.ones(4, head.get_submodule("steps").in_features, dtype=torch.float64)  # type: ignore[arg-type] # a number, says nn.Linear
    y = torch.zeros(4, LOOK_BACK, 1, dtype=torch.float64)
    inputs = batch.inputs.double()
    before = head(y, batch.mask, summary, inputs)
    for step in range(HORIZON):
        other = inputs.clone()
        other[:, LOOK_BACK - HORIZON + step, -1] += 1
        changed = (head(y, batch.mask, summary, other) != before).any(dim=2)
        assert changed.tolist() == [[place == step for place in range(HORIZON)]] * 4


def test_padding_after_the_last_step_changes_no_forecast() -> None:
    dataset = dataset_of(random_series())
    batch = DeviceData(dataset).train.batch(torch.arange(4))
    model = model_of(dataset)
    inputs = batch.inputs.double()
    padded = torch.cat([inputs, torch.full_like(inputs[:, :2], 9.0)], dim=1)
    mask = torch.cat([batch.mask, torch.zeros(4, 2, dtype=torch.bool)], dim=1)
    torch.testing.assert_close(model(padded, mask), model(inputs, batch.mask))


@pytest.mark.parametrize("family", ["lstm", "tcn"])
def test_forecasts_of_a_stream(family: str) -> None:
    """Chunk after chunk, each forecast is that of the whole."""
    dataset = dataset_of(random_series(known=0))
    batch = DeviceData(dataset).train.batch(torch.arange(3))
    model = model_of(dataset, family)
    inputs = batch.inputs.double()
    state = model.initial_state(3)
    _, state = model.advance(inputs[:, :4], state)
    outputs, _ = model.advance(inputs[:, 4:], state)
    torch.testing.assert_close(outputs, model(inputs, batch.mask), rtol=1e-8, atol=1e-8)


def test_a_stream_with_covariates_known_ahead_needs_a_horizon_at_a_time() -> None:
    dataset = dataset_of(random_series())
    model = model_of(dataset)
    inputs = DeviceData(dataset).train.batch(torch.arange(3)).inputs.double()
    with pytest.raises(ValueError, match="at least as long as the horizon of 3, got 2 steps"):
        model.advance(inputs[:, :2], model.initial_state(3))


def test_models_of_one_head_train_as_an_array() -> None:
    dataset = dataset_of(random_series())
    batch = DeviceData(dataset).train.batch(torch.arange(4))
    members = [model_of(dataset, "tcn") for _ in range(2)]
    with torch.no_grad():
        for parameter in members[1].parameters():
            parameter.add_(0.1)
    tensors = [dict(m.named_parameters()) | dict(m.named_buffers()) for m in members]
    stacked = {name: torch.stack([one[name] for one in tensors]) for name in tensors[0]}
    inputs = batch.inputs.double()

    def run(tensors: dict[str, torch.Tensor]) -> torch.Tensor:
        outputs: torch.Tensor = torch.func.functional_call(
            members[0], tensors, (inputs, batch.mask)
        )
        return outputs

    fused = torch.func.vmap(run)(stacked)
    alone = torch.stack([member(inputs, batch.mask) for member in members])
    torch.testing.assert_close(fused, alone)


def test_what_is_known_ahead_is_learnt() -> None:
    """Each value is its step's covariate, and nothing else tells it: noise without memory."""
    rng = np.random.default_rng(0)
    known = rng.normal(size=(400, 1))
    series = Series(
        100 + 7 * known, np.empty((400, 0)), known, 280, 340, Yardstick.fit(known[:280], 1)
    )
    series = replace(series, yardstick=Yardstick.fit(series.values[:280], 1))
    dataset = dataset_of(series, season=1)
    config = default(family_space(MODELS["gru"], dataset.task, len(dataset.train)))
    config["model"] |= {"hidden_size": 8, "num_layers": 1}
    config["head"] |= {"from_last_value": False}
    config["training"] |= {"batch_size": 16}
    config["training"]["optimizer"] |= {"learning_rate": 0.02}
    training = Training(MODELS["gru"], config, DeviceData(dataset), seed=0, epochs=8)
    for _ in range(8):
        training.run_epoch()
    assert training.evaluate("test").metrics["mse"] < 0.1
    assert baselines(dataset)[0].test["mse"] > 1.0


# the task


def test_it_travels_as_json() -> None:
    task = Forecasting(input_size=5, channels=2, known=1, horizon=24, season=7)
    assert task_from_json(json.loads(json.dumps(task.to_json()))) == task
    assert task.causal


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"horizon": 0}, "`horizon` must be at least 1, got 0"),
        ({"horizon": 2, "channels": 3, "input_size": 2}, "`input_size` must be at least 3, got 2"),
        ({"horizon": 2, "known": 2, "input_size": 4}, "`input_size` must be at least 5, got 4"),
        ({"horizon": 2, "season": 0}, "`season` must be at least 1"),
        ({"horizon": 2, "causal": False}, "must be causal"),
        ({"horizon": 2, "vocabulary": 9}, "of features, not of tokens"),
    ],
)
def test_fields_that_do_not_fit_are_refused(fields: dict[str, int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Forecasting(**fields)  # type: ignore[arg-type]


def test_a_scaler_of_many_channels_undoes_itself() -> None:
    values = np.random.default_rng(0).normal(5, 3, (30, 4))
    scaler = Scaler.fit(values)
    assert scaler.apply(values) * scaler.std + scaler.mean == pytest.approx(values, rel=1e-5)
