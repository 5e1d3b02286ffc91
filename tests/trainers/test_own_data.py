"""A user's own files become data sets: the right columns, splits and numbers, stated in words."""

import gzip
import json
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pa_parquet
import pytest

from spaces import smallest
from trainers.benchmarks import load_benchmark
from trainers.catalog import family_space
from trainers.data.batching import DeviceData
from trainers.data.dataset import Dataset, Split
from trainers.models import MODELS
from trainers.own_data import OwnData, describe, load_own_data
from trainers.training.loop import Training
from trainers.trivial.baselines import baseline, baselines

Write = Callable[[str, str], str]
CacheOf = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Put text into a file and give its path."""

    def write_text(name: str, text: str) -> str:
        (tmp_path / name).write_text(text, "utf-8")
        return str(tmp_path / name)

    return write_text


def load(*data: str, task: str, **fields: object) -> Dataset:
    return load_own_data(OwnData.from_mapping({"data": list(data), "task": task, **fields}))


def sizes(dataset: Dataset) -> list[int]:
    return [len(split) for split in (dataset.train, dataset.valid, dataset.test)]


def splits(dataset: Dataset) -> list[Split]:
    return [dataset.train, dataset.valid, dataset.test]


def trained(dataset: Dataset) -> float:
    """The validation value after one epoch of the smallest GRU."""
    config = smallest(family_space(MODELS["gru"], dataset.task, len(dataset.train)))
    training = Training(MODELS["gru"], config, DeviceData(dataset), seed=0, epochs=1)
    measurement = training.run_epoch()
    assert np.isfinite([*measurement.valid.values()]).all()
    return training.best_value


def days(count: int, start: date = date(2023, 1, 1)) -> list[str]:
    return [str(start + timedelta(days=day)) for day in range(count)]


def sales(stores: str = "abc", count: int = 100) -> str:
    """Every store sells the day's number plus a thousand for its letter; promo every fifth day."""
    rows = [
        f"{day},{store},{1000 * place + number},{number % 5 == 0}"
        for number, day in enumerate(days(count))
        for place, store in enumerate(stores)
    ]
    return "\n".join(["date,store,y,promo", *rows, ""])


# forecasting


def test_sales_of_stores(write: Write) -> None:
    path = write("sales.csv", sales())
    dataset = load(path, task="forecasting", time="date", id="store", target="y", horizon=7)
    assert dataset.name == "sales"
    assert (dataset.task.horizon, dataset.task.season) == (7, 7)  # type: ignore[attr-defined]
    # 100 days: the last 15 are test, the 15 before valid; look-back twice the horizon
    assert sizes(dataset) == [3 * (70 - 14 - 7 + 1), 3 * (15 - 7 + 1), 3 * (15 - 7 + 1)]
    for place, store in enumerate("abc"):
        scaler = dataset.preprocessing["series"][store]
        train = 1000 * place + np.arange(70)
        assert scaler["mean"] == pytest.approx([train.mean()])
        assert scaler["std"] == pytest.approx([train.std()])
        first = dataset.test.targets.example(9 * place)[:, 0]
        raw = first * scaler["std"] + scaler["mean"]
        assert raw == pytest.approx(1000 * place + np.arange(85, 92), rel=1e-5)
    rows = baselines(dataset)
    assert [row.name for row in rows] == ["last value", "seasonal naive"]
    # a steady climb: a season's change is 7, and the last value is 1 to 7 behind
    assert rows[0].test["mase"] == pytest.approx(np.arange(1, 8).mean() / 7, rel=1e-4)
    assert rows[1].test["mase"] == pytest.approx(1.0, rel=1e-4)
    trained(dataset)


def test_what_was_found_is_told(write: Write) -> None:
    path = write("sales.csv", sales())
    dataset = load(path, task="forecasting", id="store", target="y", horizon=7)
    assert describe(dataset) == [
        "time: date (inferred)",
        "id: store",
        "target: y",
        "not used: promo",
        f"{path}: 300 rows",
        "date: times from 2023-01-01 to 2023-04-10",
        "store: 3 different words",
        "y: numbers from 0 to 2099",
        "3 series of 100 steps, 1 day apart",
        "split: by time, at once for all series: valid from 2023-03-12, test from 2023-03-27",
        "question: the next 7 steps from the 14 before (inferred); season of 7 (inferred)",
        "scaling: every series by the mean and deviation of its train part, covariates by those of "
        "all series",
        "windows: 150 train / 27 valid / 27 test; the look-back of valid and test reaches into the "
        "part before",
    ]


def test_rows_of_several_series_may_be_mixed_or_one_after_the_other(write: Write) -> None:
    mixed = sales()
    head, *rows = mixed.strip().split("\n")
    apart = "\n".join([head, *sorted(rows, key=lambda row: row.split(",")[1]), ""])
    first, second = (
        load(write(name, text), task="forecasting", id="store", target="y", horizon=7)
        for name, text in (("mixed.csv", mixed), ("apart.csv", apart))
    )
    assert (first.train.inputs.values == second.train.inputs.values).all()
    assert (first.test.targets.starts == second.test.targets.starts).all()


def test_covariates_known_ahead_and_known_up_to_now(write: Write) -> None:
    path = write("sales.csv", sales().replace("date,", "date,"))
    dataset = load(
        path,
        task="forecasting",
        id="store",
        target="y",
        horizon=7,
        look_back=10,
        future_covariates=["promo"],
    )
    assert (dataset.task.input_size, dataset.task.known) == (3, 1)  # type: ignore[attr-defined]
    promo = np.arange(100) % 5 == 0
    on = dataset.train.inputs.values[:100, 1] > 0
    assert (on == promo).all()
    first = dataset.test.inputs.example(0)
    assert ((first[-7:, 2] > 0) == promo[85:92]).all()
    past = load(path, task="forecasting", id="store", target="y", horizon=7, covariates="promo")
    assert (past.task.input_size, past.task.known) == (2, 0)  # type: ignore[attr-defined]
    trained(dataset)


def test_nothing_of_valid_and_test_decides_the_scaling(write: Write) -> None:
    text = sales("a")
    head, *rows = text.strip().split("\n")
    spoiled = [row if place < 70 else row.replace(",a,", ",a,9") for place, row in enumerate(rows)]
    one, other = (
        load(
            write(name, "\n".join([head, *lines])),
            task="forecasting",
            target="y",
            horizon=7,
            future_covariates="promo",
        )
        for name, lines in (("one.csv", rows), ("other.csv", spoiled))
    )
    assert one.preprocessing["series"] == other.preprocessing["series"]
    assert (
        one.preprocessing["future_covariate_scaler"]
        == (other.preprocessing["future_covariate_scaler"])
    )
    for index in range(len(one.train)):
        assert (one.train.inputs.example(index) == other.train.inputs.example(index)).all()
        assert (one.train.targets.example(index) == other.train.targets.example(index)).all()


def test_a_test_file_goes_on_where_the_data_end(write: Write) -> None:
    head, *rows = sales("ab").strip().split("\n")
    data = write("data.csv", "\n".join([head, *rows[:186]]))
    test = write("test.csv", "\n".join([head, *rows[186:]]))
    dataset = load(
        data, task="forecasting", test=test, id="store", target="y", horizon=7, look_back=14
    )
    assert sizes(dataset)[2] == 2  # the seven days of each store, foretold from the days before
    assert sizes(dataset)[1] == 2 * (14 - 7 + 1)
    scaler = dataset.preprocessing["series"]["b"]
    inputs = dataset.test.inputs.example(1)[:, 0] * scaler["std"] + scaler["mean"]
    assert inputs == pytest.approx(1000 + np.arange(79, 93), rel=1e-5)
    assert any("test is a file of its own" in line for line in describe(dataset))


def test_a_test_file_from_earlier_is_warned_of(write: Write) -> None:
    head, *rows = sales("a").strip().split("\n")
    data = write("data.csv", "\n".join([head, *rows[40:]]))
    test = write("test.csv", "\n".join([head, *rows[:30]]))
    dataset = load(data, task="forecasting", test=test, target="y", horizon=7, look_back=7)
    assert sizes(dataset)[2] == 30 - 7 - 7 + 1  # with its own look-back
    warning = describe(dataset)[-1]
    assert warning.startswith("warning: test begins at 2023-01-01, before train and valid end at")


def test_a_series_per_quarter_in_json_lines(write: Write) -> None:
    lines = [
        json.dumps(
            {"when": f"{2000 + n // 4}-{3 * (n % 4) + 1:02}-01", "value": n * n, "note": "x"}
        )
        for n in range(80)
    ]
    dataset = load(write("quarters.jsonl", "\n".join(lines)), task="forecasting", horizon=4)
    assert dataset.preprocessing["step"] == {"unit": "month", "size": 3}
    assert dataset.task.season == 4  # type: ignore[attr-defined]
    assert dataset.preprocessing["columns"]["time"] == "when"
    assert dataset.preprocessing["columns"]["target"] == ["value"]


def test_the_oil_temperature_as_a_user_would_read_it(benchmark_cache: CacheOf) -> None:
    """The same windows, and scaling, as the benchmark's where the split is the same."""
    cache = benchmark_cache("ett_h1")
    path = str(cache / "ett" / "ETTh1.csv")
    dataset = load(
        path,
        task="forecasting",
        target=["HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT"],
        horizon=96,
        look_back=96,
        valid_share=4_390 / 17_420,
        test_share=4_390 / 17_420,
    )
    assert dataset.preprocessing["step"] == {"unit": "time", "size": 3600 * 10**9}
    theirs = load_benchmark("ett_h1", cache=cache)
    mine = dataset.train
    assert sizes(dataset)[0] == len(theirs.train) == 8_449
    for index in (0, 5_000, 8_448):
        assert mine.inputs.example(index) == pytest.approx(theirs.train.inputs.example(index))
        assert mine.targets.example(index) == pytest.approx(theirs.train.targets.example(index))


# classification and regression


def steps(sequences: int = 30, names: str = "sequence,t,x,z,label") -> str:
    rng = np.random.default_rng(0)
    rows = [
        f"s{number},{step},{rng.normal() + 2 * (number % 2):.3f},{rng.normal():.3f},"
        f"{('down', 'up')[number % 2]}"
        for number in range(sequences)
        for step in range(int(rng.integers(4, 8)))
    ]
    return "\n".join([names, *rows, ""])


def test_sequences_of_rows(write: Write) -> None:
    path = write("steps.csv", steps())
    dataset = load(path, task="classification", id="sequence", time="t", target="label")
    assert dataset.task.to_json()["classes"] == 2
    assert dataset.preprocessing["classes"] == ["down", "up"]
    assert sum(sizes(dataset)) == 30
    for split in splits(dataset):
        counts = np.bincount(split.targets.values[split.targets.starts])
        assert counts[0] == counts[1]  # stratified
    train = np.concatenate([dataset.train.inputs.example(i) for i in range(len(dataset.train))])
    assert abs(train.mean(axis=0, dtype=np.float64)).max() < 1e-6
    assert abs(train.std(axis=0, dtype=np.float64) - 1).max() < 1e-6
    inferred = load(path, task="classification")
    assert (inferred.train.inputs.starts == dataset.train.inputs.starts).all()
    lines = describe(inferred)
    assert "id: sequence (inferred)" in lines
    assert "features: x (inferred), z (inferred)" in lines
    assert "classes: down (15), up (15)" in lines
    trained(dataset)


def test_whole_groups_come_into_one_split(write: Write) -> None:
    head, *rows = steps(40).strip().split("\n")
    grouped = [f"{row},g{int(row.split(',')[0][1:]) // 5}" for row in rows]
    path = write("steps.csv", "\n".join([f"{head},person", *grouped]))
    dataset = load(path, task="classification", target="label", group="person")
    groups = []
    for split in splits(dataset):
        # sequences lie in the array in the order of their first rows, five to a person
        everyone = np.unique(
            np.concatenate([each.inputs.starts for each in splits(dataset)]), return_inverse=True
        )[0]
        groups.append({int(np.searchsorted(everyone, start)) // 5 for start in split.inputs.starts})
    assert not groups[0] & groups[1]
    assert not groups[0] & groups[2]
    assert not groups[1] & groups[2]
    assert all(groups)
    assert any("whole groups of 'person'" in line for line in describe(dataset))


def test_another_seed_draws_others_and_the_same_the_same(write: Write) -> None:
    path = write("steps.csv", steps())
    first, again, other = (
        load(path, task="classification", target="label", seed=seed).test.inputs.starts.tolist()
        for seed in (0, 0, 1)
    )
    assert first == again != other


def test_texts_in_parquet(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    questions = [f"{('who', 'when')[n % 2]} was no. {rng.integers(10**6)}?" for n in range(60)]
    table = pa.table({"question": questions, "label": [n % 2 for n in range(60)]})
    pa_parquet.write_table(table, tmp_path / "q.parquet")
    path = str(tmp_path / "q.parquet")
    dataset = load(path, task="classification", text="question", target="label")
    assert dataset.preprocessing["classes"] == ["0", "1"]
    words = dataset.preprocessing["vocabulary"]
    assert dataset.task.vocabulary == len(words)
    assert {"who", "when", "?", "."} <= set(words)
    sentence = [words[token] for token in dataset.train.inputs.example(0)]
    assert sentence[1:4] == ["was", "no", "."]
    assert not [line for line in describe(dataset) if line.startswith("warning")]
    trained(dataset)


def test_the_vocabulary_knows_train_alone(write: Write) -> None:
    data = write("data.csv", "text,label\n" + "a a,1\nb b,0\n" * 10)
    test = write("test.csv", "text,label\nzebra zebra,1\n")
    dataset = load(data, task="classification", test=test)
    assert dataset.preprocessing["vocabulary"] == ["<unknown>", "<Unknown>", "a", "b"]
    assert dataset.test.inputs.example(0).tolist() == [0, 0]


def test_duplicates_across_splits_are_warned_of(write: Write) -> None:
    rows = [f"the same old {word},{label}" for label, word in enumerate(("song", "tune"))] * 20
    dataset = load(write("texts.csv", "\n".join(["text,label", *rows])), task="classification")
    warnings = [line for line in describe(dataset) if line.startswith("warning")]
    assert warnings[1].startswith("warning: 6 of 6 test examples are in train or valid, too")


def test_numbers_to_be_foretold(write: Write) -> None:
    rng = np.random.default_rng(0)
    rows = [
        f"{name},{step},{rng.normal():.3f},{name * 100}" for name in range(40) for step in range(5)
    ]
    path = write("steps.csv", "\n".join(["id,step,x,target", *rows]))
    dataset = load(path, task="regression")
    assert sizes(dataset) == [28, 6, 6]
    scaler = dataset.preprocessing["target_scaler"]
    starts = dataset.test.inputs.starts // 5
    raw = [
        dataset.test.targets.example(i)[0, 0] * scaler["std"][0] + scaler["mean"][0]
        for i in range(6)
    ]
    assert raw == pytest.approx(starts * 100, rel=1e-4, abs=1e-3)
    train = np.array([dataset.train.targets.example(i)[0, 0] for i in range(28)])
    assert train.std() == pytest.approx(1, rel=1e-5)
    trained(dataset)


def test_a_text_file_for_each_class(write: Write) -> None:
    good = write("good.txt", "".join(f"fine film number {n}\n" for n in range(20)))
    bad = write("bad.txt", "".join(f"poor film number {n}\r\n" for n in range(20)) + "\n\n")
    dataset = load(good, bad, task="classification")
    assert dataset.preprocessing["classes"] == ["bad", "good"]
    assert sizes(dataset) == [28, 6, 6]


def test_archive_files_find_their_test(benchmark_cache: CacheOf) -> None:
    folder = benchmark_cache("italy_power_demand") / "italy_power_demand"
    path = folder / "ItalyPowerDemand_TRAIN.ts"
    dataset = load(str(path), task="classification")
    assert sizes(dataset) == [57, 10, 1_029]
    assert dataset.preprocessing["classes"] == ["1", "2"]
    assert any(line.endswith("ItalyPowerDemand_TEST.ts (inferred)") for line in describe(dataset))


def test_archive_files_with_numbers(write: Write) -> None:
    head = "@univariate true\n@timestamps false\n@targetlabel true\n@data\n"
    cases = "".join(f"{n},{n + 1},{n + 2}:{n / 2}\n" for n in range(30))
    dataset = load(write("heights.ts", head + cases), task="regression")
    assert sizes(dataset) == [20, 5, 5]
    scaler = dataset.preprocessing["target_scaler"]
    raw = dataset.test.targets.example(0)[0, 0] * scaler["std"][0] + scaler["mean"][0]
    place = int(dataset.test.inputs.starts[0]) // 3
    assert raw == pytest.approx(place / 2, abs=1e-5)


# tagging


def tagged(sentences: int = 40) -> str:
    return "".join(
        f"the DT\ncat{n % 7} NN\n{('sleeps', 'eats')[n % 2]} VB\nno{n} CD\n\n"
        for n in range(sentences)
    )


def test_words_in_columns(write: Write) -> None:
    dataset = load(write("train.conll", tagged()), task="tagging")
    assert dataset.preprocessing["classes"] == ["CD", "DT", "NN", "VB"]
    assert sizes(dataset) == [28, 6, 6]
    assert dataset.train.targets.example(0).tolist() == [1, 2, 3, 0]
    assert baseline(dataset).test["accuracy"] == 1.0
    trained(dataset)


def test_tags_that_mark_entities_are_judged_by_them(write: Write) -> None:
    text = "".join(
        f"in O\nNew{n % 3} B-LOC\nYork{n % 3} I-LOC\nmet O\nAnn{n} B-PER\n\n" for n in range(40)
    )
    dataset = load(write("train.conll", text), task="tagging")
    assert dataset.task.name == "entity_tagging"
    assert dataset.task.metric().name == "entity_f1"
    assert dataset.preprocessing["classes"] == list(dataset.task.tags)
    assert baseline(dataset).test["entity_f1"] > 0.6
    assert 0 <= trained(dataset) <= 1


def test_columns_of_tags_are_chosen_by_number(write: Write) -> None:
    text = "".join(f"x{n}\tA\tthe\tB-{n % 2}\n\n" for n in range(10)) + "-DOCSTART-\n"
    dataset = load(write("train.conll", text), task="tagging", text="3", target="4")
    assert dataset.preprocessing["classes"] == ["B-0", "B-1"]
    assert "the" in dataset.preprocessing["vocabulary"]


def test_a_treebank(benchmark_cache: CacheOf) -> None:
    folder = benchmark_cache("ud_english_ewt") / "ud_english_ewt"
    dev = str(folder / "en_ewt-ud-dev.conllu")
    dataset = load(dev, task="tagging", target="xpos")
    assert sum(sizes(dataset)) == 2_001
    assert len(dataset.preprocessing["classes"]) == 49
    assert sum(int(split.inputs.lengths.sum()) for split in splits(dataset)) == 25_147


def test_a_rare_tag_stays_in_train(write: Write) -> None:
    text = "".join(f"word A\n\n{'odd ODD' if n == 7 else 'other B'}\n\n" for n in range(20))
    for seed in range(8):
        dataset = load(write("rare.conll", text), task="tagging", seed=seed)
        odd = dataset.preprocessing["classes"].index("ODD")
        tags = [int(dataset.train.targets.example(i)[0]) for i in range(len(dataset.train))]
        assert odd in tags


# files


@pytest.mark.parametrize(
    ("name", "separator"),
    [("data.csv", ","), ("data.csv", ";"), ("data.tsv", "\t"), ("data.csv.gz", ",")],
)
def test_tables_in_many_writings(name: str, separator: str, tmp_path: Path) -> None:
    head, *rows = steps().strip().split("\n")
    lines = [f"\ufeff{head}", "", *(row.replace("down", '"down"') for row in rows)]
    text = "\r\n".join(lines).replace(",", separator).encode()
    path = tmp_path / name
    path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    dataset = load(str(path), task="classification", target="label")
    assert dataset.preprocessing["classes"] == ["down", "up"]
    assert sum(sizes(dataset)) == 30


def test_the_same_table_is_the_same_data_in_every_format(tmp_path: Path, write: Write) -> None:
    head, *rows = steps().strip().split("\n")
    cells = [dict(zip(head.split(","), row.split(","), strict=True)) for row in rows]
    typed = [
        row | {"t": int(row["t"]), "x": float(row["x"]), "z": float(row["z"])} for row in cells
    ]
    pa_parquet.write_table(
        pa.Table.from_pylist(typed), tmp_path / "steps.parquet", row_group_size=37
    )
    paths = [
        write("steps.csv", steps()),
        write("steps.jsonl", "\n".join(map(json.dumps, typed))),
        str(tmp_path / "steps.parquet"),
    ]
    first, *others = (load(path, task="classification") for path in paths)
    for other in others:
        assert (first.train.inputs.values == other.train.inputs.values).all()
        assert (first.train.targets.values == other.train.targets.values).all()
        assert (first.test.inputs.starts == other.test.inputs.starts).all()


def test_several_files_are_one(write: Write) -> None:
    head, *rows = steps(20).strip().split("\n")
    paths = [
        write("one.csv", "\n".join([head, *rows[:50]])),
        write("two.csv", "\n".join([head, *rows[50:]])),
    ]
    whole = load(write("all.csv", steps(20)), task="classification")
    parts = load(*paths, task="classification")
    assert (whole.train.inputs.values == parts.train.inputs.values).all()


def test_a_table_longer_than_a_block_is_read_whole(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write("steps.csv", steps())
    lines = "\n".join(
        json.dumps(dict(zip(["sequence", "t", "x", "z", "label"], row.split(","), strict=True)))
        for row in steps().strip().split("\n")[1:]
    )
    whole = load(path, task="classification")
    monkeypatch.setattr("trainers.own_data.batches.BLOCK_BYTES", 256)
    parts = load(path, task="classification")
    assert (whole.train.inputs.values == parts.train.inputs.values).all()
    rows = load(write("steps.jsonl", lines), task="classification")
    assert (whole.train.inputs.values == rows.train.inputs.values).all()


def test_it_travels_as_json_and_arrays(write: Write) -> None:
    dataset = load(
        write("sales.csv", sales()), task="forecasting", id="store", target="y", horizon=7
    )
    description, arrays = dataset.to_parts()
    again = Dataset.from_parts(json.loads(json.dumps(description)), arrays)
    assert again.task == dataset.task
    assert describe(again) == describe(dataset)
