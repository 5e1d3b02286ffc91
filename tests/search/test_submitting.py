"""What goes with a study that is sent to a cluster, and what is refused before anything is sent."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from cluster.work import Work
from search.cli import main
from search.study import Study
from search.terminal import submitting

STUDY = """
name = "mine"
families = ["lstm", "families/own.py:Own"]
[data]
data = ["a/x.csv", "b/x.csv"]
test = "held.csv"
task = "classification"
target = "y"
[budget]
trials_per_family = 2
"""


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "elsewhere" / "study.toml"
    file.parent.mkdir()
    file.write_text(STUDY)
    return file


def test_all_that_a_study_names_goes_along(study: Path) -> None:
    name, files = submitting.parcel(study)
    assert name == "mine"
    sent = tomllib.loads(str(files.pop("study.toml")))
    Study.from_mapping(sent)
    assert len(set(sent["data"]["data"])) == 2  # two files of one name
    names = [*sent["data"]["data"], *sent["data"]["test"]]
    origins = [study.parent / place for place in ("a/x.csv", "b/x.csv", "held.csv")]
    assert [files.pop(name) for name in names] == origins
    assert files == {"families/own.py": Path("families/own.py")}  # from here, as `run` takes it


def test_a_family_from_outside_is_refused(study: Path) -> None:
    study.write_text(STUDY.replace("families/own.py", "../own.py"))
    with pytest.raises(ValueError, match=r"must lie below this folder, got '\.\./own\.py'"):
        submitting.parcel(study)


def test_results_must_go_where_all_machines_see_them(study: Path) -> None:
    with pytest.raises(ValueError, match="`--out` must be the whole path"):
        submitting.submit_study(study, "http://head:8265", {"out": "results"}, print)


def test_how_to_follow_a_study_is_said(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []

    def submit(address: str, work: Work, files: Any, *, code: Path) -> str:
        sent.append((address, work, sorted(files)))
        return "job-1"

    monkeypatch.setattr(submitting, "submit", submit)
    said: list[str] = []
    work = {"out": "/shared", "python": "python", "setup": None}
    assert submitting.submit_study(study, "http://head:8265", work, said.append) == "job-1"
    assert sent[0][:2] == ("http://head:8265", Work("mine", "study.toml", "/shared", ".", "python"))
    assert "follow it: seqtune cluster logs job-1 --address http://head:8265" in said


def test_what_a_job_printed_and_how_it_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submitting, "follow", lambda address, job: iter(["a\n", "b\n"]))
    monkeypatch.setattr(submitting, "succeeded", lambda address, job: False)
    said: list[str] = []
    assert submitting.tell("http://head:8265", "job", said.append) == 1
    assert said == ["a\n", "b\n"]


def test_a_job_is_asked_by_commands_that_it_knows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Any] = []

    def ask(*given: Any, code: Path) -> str:
        asked.append(given)
        return "asking"

    monkeypatch.setattr(submitting, "ask", ask)
    monkeypatch.setattr(submitting, "follow", lambda address, job: iter([job]))
    monkeypatch.setattr(submitting, "succeeded", lambda address, job: True)
    with pytest.raises(SystemExit) as left:
        main(["cluster", "ask", "--address", "http://h:1", "job", "stop", "--trial", "7"])
    assert left.value.code == 0
    assert asked == [("http://h:1", "job", ["stop", "--trial", "7"])]
    assert capsys.readouterr().out == "asking"
    with pytest.raises(ValueError, match=r"can be asked for status, watch, .*, got 'run'"):
        submitting.ask_job("http://h:1", "job", ["run"], print)


def test_a_job_that_has_ended_cannot_be_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submitting, "stop", lambda address, job: False)
    with pytest.raises(ValueError, match="must be running to be stopped"):
        submitting.stop_job("http://head:8265", "job", print)
