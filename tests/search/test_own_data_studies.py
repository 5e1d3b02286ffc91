from pathlib import Path

import pytest

from search.problem import Problem
from search.study import Study, StudyError
from search.terminal.request import requested_study
from trainers.data_source import OWN_DATA

OPTIONS = ("benchmark", "data.data", "data.task", "data.id", "data.time", "data.target")
REST = {
    "families": ["gru"],
    "budget.trials_per_family": 1,
    "budget.epochs": None,
    "budget.seconds": None,
}


def steps(folder: Path) -> Path:
    """Forty short sequences of two classes, told apart by their first column."""
    rows = [
        f"{sequence},{step},{step if sequence % 2 else -step},{'up' if sequence % 2 else 'down'}"
        for sequence in range(40)
        for step in range(5)
    ]
    file = folder / "steps.csv"
    file.write_text("\n".join(["sequence,t,value,label", *rows]) + "\n")
    return file


def options(**given: object) -> dict[str, object]:
    named = {key.replace("_", "."): value for key, value in given.items()}
    return dict.fromkeys(OPTIONS) | REST | named


def test_flags_make_a_study_of_own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps(tmp_path)
    monkeypatch.chdir(tmp_path)
    asked = requested_study(
        None,
        options(
            data_data=["steps.csv"],
            data_task="classification",
            data_id="sequence",
            data_time="t",
            data_target=["label"],
        ),
    )
    assert asked.name == "steps"
    assert asked.benchmark_name == OWN_DATA
    assert asked.benchmark_options["data"] == [str(tmp_path / "steps.csv")]
    monkeypatch.chdir("/")
    problem = Problem.of(asked)
    assert problem.metric.name == "accuracy"
    assert any("40" in line for line in problem.account)


def test_flags_make_a_study_of_a_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "corpus.txt").write_text("To be or not to be\n" * 60)
    monkeypatch.chdir(tmp_path)
    given = {"data_data": ["corpus.txt"], "data_task": "language_modelling"}
    for level, metric in (("character", "bits_per_character"), ("word", "perplexity")):
        problem = Problem.of(requested_study(None, options(**given, data_level=level)))
        assert problem.metric.name == metric
        assert any(f"level: {level}" in line for line in problem.account)
        assert "bptt_steps" in problem.spaces["gru"].children["training"].children


def test_files_of_a_study_lie_beside_it_and_survive_its_text(tmp_path: Path) -> None:
    steps(tmp_path)
    file = tmp_path / "study.toml"
    file.write_text(
        'name = "s"\nfamilies = ["gru"]\nmetric = "log_loss"\n[budget]\ntrials_per_family = 1\n'
        '[data]\ndata = "steps.csv"\ntask = "classification"\nid = "sequence"\ntime = "t"\n'
        'target = "label"\n'
    )
    asked = requested_study(file, dict.fromkeys(options()))
    assert asked.benchmark_options["data"] == [str(tmp_path / "steps.csv")]
    kept = tmp_path / "kept.toml"
    kept.write_text(asked.to_toml())
    assert Study.load(kept) == asked
    assert Problem.of(asked).metric.name == "log_loss"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"benchmark": "digits_rows"}, "either a `benchmark` or `data` of your own, got both"),
        ({"data": "steps.csv"}, "`data` must be a table"),
    ],
)
def test_refuses_what_is_not_one_source(more: dict[str, object], message: str) -> None:
    study = {"name": "s", "families": ["gru"], "budget": {"trials_per_family": 1}}
    data = {"data": {"data": "steps.csv", "task": "classification"}}
    with pytest.raises(StudyError, match=message):
        Study.from_mapping(study | data | more)


def test_refuses_two_sources_on_the_command_line() -> None:
    with pytest.raises(ValueError, match="one of them"):
        requested_study(None, options(benchmark="digits_rows", data_data=["steps.csv"]))
    with pytest.raises(ValueError, match="one of them"):
        requested_study(None, options())


def test_a_wrong_key_is_named() -> None:
    asked = Study.from_mapping(
        {
            "name": "s",
            "families": ["gru"],
            "budget": {"trials_per_family": 1},
            "data": {"data": "a.csv", "task": "classification", "taget": "x"},
        }
    )
    with pytest.raises(ValueError, match="no key 'taget'; did you mean 'target'"):
        Problem.of(asked)


def test_flags_make_a_study_of_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [f"{'ja ' * (row % 5 + 1)}\t{'yes ' * (row % 5 + 1)}" for row in range(30)]
    (tmp_path / "pairs.tsv").write_text("\n".join(["de\ten", *rows]) + "\n")
    monkeypatch.chdir(tmp_path)
    asked = requested_study(None, options(data_data=["pairs.tsv"], data_task="translation"))
    problem = Problem.of(asked)
    assert problem.metric.name == "bleu"
    assert "target: en (inferred)" in problem.account
