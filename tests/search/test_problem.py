"""Studies resolved: names looked up, spaces narrowed."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest

from search.problem import Problem
from search.runner.packages import ROOT, check_packages
from search.runner.runner import run_study
from search.study import Study
from spaces import default, flatten
from trainers.models import MODELS

OWN = (ROOT / "examples" / "my_model.py").read_text()


ADDING = {"name": "adding", "length": 8, "train_examples": 64}


def study(families: list[str], space: dict[str, Any], benchmark: Any = ADDING) -> Study:
    return Study.from_mapping(
        {
            "name": "tiny",
            "benchmark": benchmark,
            "families": families,
            "budget": {"trials_per_family": 1},
            "space": space,
        }
    )


def test_settings_are_found_in_model_head_and_training() -> None:
    space = {"lstm": {"hidden_size": 64, "optimizer": "sgd", "training": {"batch_size": 16}}}
    problem = Problem.of(study(["lstm", "gru"], space))
    values = flatten(problem.spaces["lstm"], default(problem.spaces["lstm"]))
    assert values["model/hidden_size"] == 64
    assert values["training/optimizer/name"] == "sgd"
    assert values["training/batch_size"] == 16
    assert problem.families == {name: MODELS[name] for name in ("lstm", "gru")}
    assert problem.metric == problem.task.metric()
    assert problem.sources == {}


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"lsmt": {}}, "`space.lsmt` must name a family of the study.*lstm"),
        ({"lstm": {"hiden_size": 64}}, "`space.lstm` has no setting 'hiden_size'.*hidden_size"),
        ({"lstm": {"hidden_size": 10**9}}, "`space.lstm/model/hidden_size` must be in"),
        ({"lstm": {"name": "gru"}}, "`space.lstm` has no setting 'name'"),
        ({"lstm": {"model": 3}}, "`space.lstm/model` must be a table of settings"),
        ({"lstm": 3}, "`space.lstm` must be a table of settings"),
    ],
)
def test_what_does_not_fit_is_named(space: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Problem.of(study(["lstm"], space))


def test_a_causal_task_refuses_what_looks_ahead() -> None:
    wrong = study(["lstm"], {"lstm": {"bidirectional": True}}, "copy_memory")
    with pytest.raises(ValueError, match="must not have 'bidirectional': the task is causal"):
        Problem.of(wrong)


def test_names_that_do_not_exist_are_refused() -> None:
    with pytest.raises(ValueError, match=r"no family 'lstmm'.*lstm"):
        Problem.of(study(["lstmm"], {}))
    with pytest.raises(ValueError, match=r"no benchmark 'ading'.*adding"):
        Problem.of(study(["lstm"], {}, "ading"))


def test_a_family_of_ones_own_travels_as_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_model.py").write_text(OWN)
    (name,) = (f"my_model.py:{found}" for found in re.findall(r"^class (\w+)", OWN, re.MULTILINE))
    problem = Problem.of(study([name], {}))
    assert problem.sources == {name: OWN}
    (tmp_path / "my_model.py").unlink()
    assert Problem.of(study([name], {}), {name: OWN}).sources == {name: OWN}


def test_packages_from_elsewhere_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_packages()
    (tmp_path / "spaces.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "spaces")
    with pytest.raises(ValueError, match="the package 'spaces' must be seqtune's own"):
        check_packages()


FORWARDS = """
from trainers.models.recurrent import GRU


class Both(GRU):
    @classmethod
    def space(cls, causal):
        if causal:
            raise ValueError("it reads backwards, too")
        return super().space(causal)


class Short(GRU):
    def __init__(self, input_size, **settings):
        if input_size > 9:
            raise NotImplementedError
        super().__init__(input_size, **settings)
"""


@pytest.mark.parametrize(
    ("family", "benchmark", "message"),
    [
        (
            "mine.py:Both",
            "copy_memory",
            r"serve the task, tagging \(causal\), and mine.py:Both does not: it reads backwards",
        ),
        ("mine.py:Short", "copy_memory", "mine.py:Short does not: NotImplementedError"),
    ],
)
def test_a_family_that_cannot_serve_the_task_says_so_before_anything_begins(
    family: str, benchmark: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(FORWARDS)
    served = Problem.of(study([family], {}, "digits_rows"))
    assert family in served.spaces
    with pytest.raises(ValueError, match=message):
        run_study(study(["gru", family], {}, benchmark), tmp_path / "results" / "tiny")
    assert not (tmp_path / "results").exists()
