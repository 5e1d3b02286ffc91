"""Series to label and series to go on with, against what `evaluate` says."""

import json
import math
from collections.abc import Callable
from datetime import date, timedelta
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


def series_file(count: int, seed: int, label: str) -> str:
    """Two channels of 3 to 6 steps; labelled by class, by number, or not at all."""
    random = np.random.default_rng(seed)
    lines = [f"@{name}" for name in ("problemName x", "univariate false", "dimensions 2")]
    lines += {"class": ["@classLabel true a b"], "number": ["@targetLabel true"]}.get(
        label, ["@classLabel false"]
    )
    lines.append("@data")
    for _ in range(count):
        length, rises = int(random.integers(3, 7)), random.random() < 0.5
        values = random.normal(size=(2, length)) + (1 if rises else -1)
        channels = [",".join(f"{value:.3f}" for value in channel) for channel in values]
        answer = {"class": ["ba"[rises]], "number": [f"{10 + 5 * rises}"]}.get(label, [])
        lines.append(":".join(channels + answer))
    return "\n".join(lines)


@pytest.mark.parametrize(("task", "label"), [("classification", "class"), ("regression", "number")])
def test_series_of_archives(
    task: str, label: str, tmp_path: Path, ask: Answer, refused: Refused, train: Train, own: Own
) -> None:
    for seed, name in enumerate(("x_TRAIN.ts", "x_TEST.ts")):
        (tmp_path / name).write_text(series_file(40, seed, label), "utf-8")
    (tmp_path / "asked.ts").write_text(series_file(40, 1, ""), "utf-8")
    model = train(tmp_path / "best", own(task, tmp_path / "x_TRAIN.ts"))
    rows = ask(model.folder, tmp_path / "asked.ts")
    assert rows == ask(model.folder, tmp_path / "x_TEST.ts")
    cases = (tmp_path / "x_TEST.ts").read_text("utf-8").split("@data\n")[1].splitlines()
    answers = [case.rpartition(":")[2] for case in cases]
    if task == "classification":
        assert model.accuracy(rows, answers) == pytest.approx(model.metrics["accuracy"])
    else:
        off = np.array([float(row["target"]) for row in rows]) - np.array(answers, dtype=float)
        std = model.dataset.preprocessing["target_scaler"]["std"][0]
        assert np.square(off / std).mean() == pytest.approx(model.metrics["mse"], rel=1e-4)
    (tmp_path / "narrow.ts").write_text(
        "@univariate true\n@classLabel false\n@data\n1,2\n", "utf-8"
    )
    assert "must have 2 channels" in refused(model.folder, tmp_path / "narrow.ts")


HORIZON, DAYS = 4, 60


def shop(store: str, day: int) -> tuple[float, bool]:
    promo = day % 5 == 0
    return (100 if store == "a" else 7) * (1 + (day % 7) / 7 + promo), promo


def sales(stop: int, *, blank: int = 0, stores: str = "ab") -> str:
    """Day by day up to `stop`; the last rows have no sales as yet."""
    lines = ["day,store,weather,promo,sold"]
    for day in range(stop):
        for store in stores:
            sold, promo = shop(store, day)
            open_ = day >= stop - blank
            weather = "" if open_ else f"{math.sin(day):.3f}"
            when = date(2024, 1, 1) + timedelta(days=day)
            lines.append(f"{when},{store},{weather},{int(promo)},{'' if open_ else f'{sold:.4f}'}")
    return "\n".join(lines)


@pytest.fixture(scope="module")
def forecaster(
    tmp_path_factory: pytest.TempPathFactory,
    train: Train,
    own: Own,
) -> Any:
    folder = tmp_path_factory.mktemp("sales")
    (folder / "sales.csv").write_text(sales(DAYS), "utf-8")
    source = own(
        "forecasting",
        folder / "sales.csv",
        time="day",
        id="store",
        target="sold",
        covariates=["weather"],
        future_covariates=["promo"],
        horizon=HORIZON,
        look_back=10,
        test_share=0.01,  # the shortest, so that there is one window of each series
    )
    return train(folder / "best", source)


def test_forecasts_are_those_that_evaluate_judges(
    forecaster: Any, ask: Answer, tmp_path: Path
) -> None:
    assert len(forecaster.dataset.test) == 2
    (tmp_path / "now.csv").write_text(sales(DAYS, blank=HORIZON), "utf-8")
    rows = ask(forecaster.folder, tmp_path / "now.csv")
    assert list(rows[0]) == ["store", "day", "sold"]
    last = [str(date(2024, 1, 1) + timedelta(days=day)) for day in range(DAYS - HORIZON, DAYS)]
    assert [(row["store"], row["day"]) for row in rows] == [(s, d) for s in "ab" for d in last]
    kept = json.loads((forecaster.folder / "preprocessing.json").read_text("utf-8"))
    off = [
        (float(row["sold"]) - shop(row["store"], DAYS - HORIZON + place % HORIZON)[0])
        / kept["series"][row["store"]]["std"][0]
        for place, row in enumerate(rows)
    ]
    assert np.square(off).mean() == pytest.approx(forecaster.metrics["mse"], rel=1e-3)
    assert np.abs(off).mean() == pytest.approx(forecaster.metrics["mae"], rel=1e-3)
    # more rows than are asked for change nothing, nor does what lies before the look-back
    (tmp_path / "more.csv").write_text(sales(DAYS + 3, blank=HORIZON + 3), "utf-8")
    assert ask(forecaster.folder, tmp_path / "more.csv") == rows
    whole = sales(DAYS, blank=HORIZON).splitlines()
    (tmp_path / "short.csv").write_text("\n".join([whole[0], *whole[-2 * 14 :]]), "utf-8")
    assert ask(forecaster.folder, tmp_path / "short.csv") == rows


def test_files_without_what_a_forecast_needs_are_refused(
    forecaster: Any, refused: Refused, tmp_path: Path
) -> None:
    def why(text: str) -> str:
        (tmp_path / "now.csv").write_text(text, "utf-8")
        return refused(forecaster.folder, tmp_path / "now.csv")

    told = why(sales(DAYS))  # nothing is known of the days to come
    assert "series 'a' must go on for 4 rows after 2024-02-29 that tell 'promo'" in told
    assert "got 2" in why(sales(DAYS, blank=2))
    told = why(sales(9 + HORIZON, blank=HORIZON))
    assert "series 'a' must have at least 10 steps, the look-back" in told
    assert "got 'c'" in why(sales(DAYS, blank=HORIZON, stores="abc"))
    lines = sales(DAYS, blank=HORIZON).splitlines()
    assert "must go on with 2024-01-20" in why("\n".join(lines[:39] + lines[41:]))
    lines[40] = lines[40].rpartition(",")[0] + ","
    assert "row 40" in why("\n".join(lines))
    assert "lacks 'store', 'weather', 'promo'" in why("day,sold\n2024-01-01,3\n")
    assert "must hold dates" in why("day,store,weather,promo,sold\n17,a,1,1,1\n")


def test_a_single_series_by_month_goes_on(
    tmp_path: Path, ask: Answer, train: Train, own: Own
) -> None:
    months = np.arange("2015-01", "2021-01", dtype="M8[M]")
    ends = (months + 1).astype("M8[D]") - 1
    values = [3.0 + place % 12 for place in range(len(ends))]
    table = pa.table({"ds": pa.array(ends), "y": values, "z": values[::-1]})
    pa_parquet.write_table(table, tmp_path / "y.parquet")
    source = own(
        "forecasting",
        tmp_path / "y.parquet",
        time="ds",
        target=["y", "z"],
        horizon=3,
        look_back=12,
        test_share=0.01,
    )
    model = train(tmp_path / "best", source)
    pa_parquet.write_table(table.slice(0, len(ends) - 3), tmp_path / "now.parquet")
    rows = ask(model.folder, tmp_path / "now.parquet")
    assert [row["ds"] for row in rows] == ["2020-10-31", "2020-11-30", "2020-12-31"]
    found = np.array([[float(row["y"]), float(row["z"])] for row in rows])
    off = (found - np.stack([values[-3:], values[2::-1]], 1)) / model.dataset.preprocessing[
        "series"
    ]["all"]["std"]
    assert np.square(off).mean() == pytest.approx(model.metrics["mse"], rel=1e-3)
