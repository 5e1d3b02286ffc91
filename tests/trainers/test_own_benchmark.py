"""A benchmark of a user's own: found by its file, checked, and kept with the study."""

from pathlib import Path

import pytest

from search.cli import main
from search.problem import Problem
from search.store.sources import store_sources, unchanged_sources
from search.study import Study
from search.terminal.request import requested_study
from trainers.benchmarks import BENCHMARKS, benchmark_class, cache_folder
from trainers.benchmarks.checks import check_benchmark

EXAMPLE = Path(__file__).parents[2] / "examples" / "my_benchmark.py"
SPOILED = {
    'task = "classification"': ('task = "regression"', "`task` says 'regression'"),
    'metric = "accuracy"': ('metric = "accuracies"', "`metric` must be one of the task's"),
    'summary = "whether a token of a sequence is repeated"': ("", "must state as text: summary"),
    "default_rng(seed)": ("default_rng()", "loaded again, the inputs of train are others"),
    "enumerate((2000": ("enumerate((0", "it cannot be loaded: there must be at least one example"),
    "vocabulary=100": ("vocabulary=7", "a small model cannot be trained on it"),
}


def write(folder: Path, old: str = "", new: str = "") -> str:
    text = EXAMPLE.read_text("utf-8")
    assert old in text
    (folder / "mine.py").write_text(text.replace(old, new), "utf-8")
    return f"{folder / 'mine.py'}:Repeated"


def study(name: str) -> Study:
    return Study.from_mapping(
        {
            "name": "own",
            "benchmark": {"name": name, "length": 9},
            "families": ["gru"],
            "budget": {"trials_per_family": 1},
        }
    )


def test_the_example_keeps_every_promise(tmp_path: Path) -> None:
    assert check_benchmark(benchmark_class(write(tmp_path)), tmp_path) == []


@pytest.mark.parametrize("old", SPOILED)
def test_what_is_wrong_is_said(old: str, tmp_path: Path) -> None:
    new, message = SPOILED[old]
    found = check_benchmark(benchmark_class(write(tmp_path, old, new)), tmp_path)
    assert [each for each in found if not each.advice and message in each.message]


def test_examples_in_two_splits_are_told(tmp_path: Path) -> None:
    kind = benchmark_class(write(tmp_path, "self._draw(count, seed)", "self._draw(count, 0)"))
    found = check_benchmark(kind, tmp_path)
    assert {each.check for each in found} == {"splits"}
    assert "500 examples of valid are in train, too" in found[0].message


@pytest.mark.parametrize("name", ["digits_rows", "adding", "embedded_reber", "digits_spelled"])
def test_built_in_ones_keep_theirs(name: str) -> None:
    found = check_benchmark(BENCHMARKS[name], cache_folder())
    assert [each for each in found if not each.advice] == []


def test_a_study_on_it_keeps_its_text(tmp_path: Path) -> None:
    name = write(tmp_path)
    problem = Problem.of(study(name))
    assert problem.dataset.train.inputs.lengths.tolist() == [9] * 2000
    assert problem.metric.name == "accuracy"
    assert problem.sources == {name: EXAMPLE.read_text("utf-8")}
    store_sources(tmp_path, problem.sources)
    assert unchanged_sources(tmp_path) == problem.sources
    write(tmp_path, "100, (count", "90, (count")
    with pytest.raises(ValueError, match="must be as it was when the study began"):
        unchanged_sources(tmp_path)
    (tmp_path / "mine.py").unlink()  # the study has the text
    again = Problem.of(study(name), unchanged_sources(tmp_path))
    assert (
        again.dataset.train.inputs.values.tolist() == problem.dataset.train.inputs.values.tolist()
    )


def test_a_run_on_it_is_named_after_the_class(tmp_path: Path) -> None:
    options = {"benchmark": write(tmp_path), "data.data": None, "families": ["gru"]}
    limits = {"budget.trials_per_family": 1, "budget.seconds": None}
    assert requested_study(None, options | limits).name == "Repeated"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("{mine}:Repeatd", "class 'Repeatd' in {mine} is not there; did you mean 'Repeated'?"),
        ("{mine}:Path", "class 'Path' in {mine} is not a Benchmark"),
        ("{folder}/none.py:Repeated", "none.py: No such file or directory"),
    ],
)
def test_what_is_not_there_is_said(
    name: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path)
    places = {"mine": str(tmp_path / "mine.py"), "folder": str(tmp_path)}
    with pytest.raises(SystemExit) as left:
        main(["run", "--benchmark", name.format(**places), "--out", str(tmp_path / "results")])
    assert left.value.code == 2
    assert message.format(**places) in capsys.readouterr().err
    assert not (tmp_path / "results").exists()
