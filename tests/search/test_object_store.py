"""A data set must fit into what trials share; one that does not is refused at the start."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cluster.connect import Session
from cluster.machine import Machine
from search.cli import main
from search.problem import Problem
from search.runner import runner
from search.runner.crews import Crews
from search.study import Study

STUDY = Study.from_mapping(
    {
        "name": "tiny",
        "benchmark": "digits_rows",
        "families": ["gru"],
        "budget": {"trials_per_family": 1},
    }
)


def session(store: float) -> Session:
    machines = (Machine(2.0),)
    return Session(2.0, 0.0, local=True, object_store_bytes=store, machines=machines)


def test_a_data_set_is_held_against_the_object_store() -> None:
    problem = Problem.of(STUDY)
    _, arrays = problem.dataset.to_parts()
    size = sum(array.nbytes for array in arrays.values())
    assert Crews(STUDY, problem, session(size), record=print)(False).slots == 2
    with pytest.raises(ValueError, match=r"got 0\.5 MB of arrays and a store of 0\.1 MB"):
        Crews(STUDY, problem, session(100_000), record=print)


def test_the_command_line_refuses_it_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @contextmanager
    def small(*given: Any, **options: Any) -> Iterator[Session]:
        yield session(100_000)

    monkeypatch.setattr(runner, "connect", small)
    monkeypatch.setattr(runner, "check_machines", lambda folder: None)  # there are none
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as left:
        main(["run", "--benchmark", "digits_rows", "--families", "gru", "--quiet"])
    assert left.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith(
        "seqtune: the data set's arrays must fit into Ray's object store, got 0.5"
    )
    assert told.count("\n") == 1
    assert not any((tmp_path / "results").glob("*"))
