"""The report as a file: what stands in it, that names are escaped, and what it does without."""

import json
import subprocess
import sys
from collections.abc import Iterable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.cli import main
from search.report.report import report_html, write_report
from search.store.log import LOG
from search.store.store import ENVIRONMENT, STUDY

Event = dict[str, Any]
EVIL = '</script><img src=x onerror="alert(1)"><b>\'&'
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """The tags of a page with their attributes and texts; notes tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.unmatched: list[str] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        self.unmatched += self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.unmatched.append(tag)

    def handle_data(self, data: str) -> None:
        if not self._open or self._open[-1] not in {"script", "style"}:
            self.texts.append(data)

    def all_of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def of_trial(kind: str, trial: int, epoch: int, **more: Any) -> Event:
    return {"event": kind, "trial": trial, "attempt": 1, "epoch": epoch, "time": 1e9, **more}


def events(family: str = "gru", cause: str = "out of memory") -> list[Event]:
    """Two search trials of a family, one failed, five runs of its finalist; another family."""
    told: list[Event] = [
        {"event": "study", "format": 1, "study": "mine", "benchmark": "digits"},
        {"event": "opened", "metric": "accuracy", "maximize": True, "families": [family, "tcn"]},
        {
            "event": "baseline",
            "name": "guess",
            "valid": {"accuracy": 0.1},
            "test": {"accuracy": 0.1},
        },
    ]
    plan = [(0, family, None), (1, family, None), (2, "tcn", None), (3, "tcn", None)]
    plan += [(4 + seed, name, of) for seed in range(5) for name, of in ((family, 0),)]
    plan += [(9 + seed, "tcn", 2) for seed in range(5)]
    for number, name, of in plan:
        config = {
            "model": {"name": name, "size": 8 * (number + 1), "kind": family},
            "training": {"rate": 0.1},
        }
        place = {"family": name, "config": config, "seed": (number - 4) % 5, "finalist_of": of}
        told.append(of_trial("proposed", number, 0, attempt=0, **place))
        told.append(of_trial("leased", number, 0, lease=number, to_epoch=3, test=of is not None))
        level = 0.9 if name == family else 0.7
        told += [
            of_trial("reported", number, epoch, value=level + 0.01 * epoch, seconds=1.5)
            | {"parameters": 1000 * (number + 1)}
            for epoch in (1, 2, 3)
        ]
        if of is not None:
            told.append(of_trial("tested", number, 3, test={"accuracy": level + 0.001 * number}))
        failed = number == 1
        end = {"state": "failed" if failed else "complete", "cause": cause if failed else ""}
        told.append(of_trial("ended", number, 3, **end))
    return [*told, {"event": "closed", "time": 1e9}]


def folder_of(place: Path, told: Iterable[Event], command: str = "mine.toml") -> Path:
    place.mkdir(parents=True, exist_ok=True)
    (place / LOG).write_text("".join(json.dumps(event) + "\n" for event in told), "utf-8")
    (place / STUDY).write_text('name = "mine"\n', "utf-8")
    known = {
        "python": "3.11.7",
        "libraries": {"torch": "2.13.0"},
        "command": ["-c", "run", command],
    }
    (place / ENVIRONMENT).write_text(json.dumps(known), "utf-8")
    return place


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    return Page(report_html(folder_of(tmp_path_factory.mktemp("report") / "mine", events())))


def test_the_verdict_comes_first_and_all_parts_follow(page: Page) -> None:
    sections = [attributes["id"] for attributes in page.all_of("section")]
    assert sections == [
        "verdict",
        "leaderboard",
        "certainty",
        "spending",
        "learning",
        "settings",
        "size",
        "criticism",
        "repeat",
    ]
    assert "gru wins with a test accuracy of" in page.text
    assert "The study was interrupted" not in page.text
    assert "damaged" not in page.text
    assert "seqtune run mine.toml" in page.text
    assert "study.toml --name mine-again" in page.text
    assert "torch 2.13.0" in page.text
    assert "out of memory" in page.text
    assert "as of 09 September 2001, 01:46 UTC" in page.text


def test_the_page_is_sound_and_fetches_nothing(page: Page) -> None:
    assert page.unmatched == []
    for tag in ("link", "img", "iframe", "base", "object"):
        assert page.all_of(tag) == []
    assert [each for each in page.all_of("script") if "src" in each] == []
    policy = next(each["content"] for each in page.all_of("meta") if "http-equiv" in each)
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-inline" not in policy.split(";")[1]


def test_it_can_be_read_by_who_does_not_see_it(page: Page) -> None:
    assert page.all_of("html")[0]["lang"] == "en"
    tables = page.all_of("table")
    assert len(tables) == len(page.all_of("caption")) >= 5
    assert {each.get("scope") for each in page.all_of("th")} == {"row", "col"}
    charts = [each for each in page.all_of("div") if each.get("class") == "chart"]
    assert len(charts) == len(page.all_of("figcaption")) >= 7
    assert all(each["role"] == "img" and len(each["aria-label"] or "") > 10 for each in charts)
    ids = [each["id"] for _, each in page.tags if "id" in each]
    assert len(ids) == len(set(ids))
    targets = {str(each["href"])[1:] for each in page.all_of("a")}
    assert targets <= set(ids)


def test_whatever_a_user_can_name_is_escaped(tmp_path: Path) -> None:
    told = events(f"{EVIL.replace('/', '')}.py:Own", cause=EVIL)
    told[0]["study"] = told[0]["benchmark"] = EVIL
    told[2]["name"] = EVIL
    folder = folder_of(tmp_path / "<b>mine", told, command=EVIL)
    (folder / STUDY).write_text(EVIL, "utf-8")
    hostile = Page(report_html(folder))
    assert hostile.all_of("img") == []
    assert hostile.all_of("b") == Page(report_html(folder_of(tmp_path / "t", events()))).all_of("b")
    assert hostile.unmatched == []
    assert EVIL in hostile.text
    assert len(hostile.all_of("script")) == 3


def test_the_report_of_a_study_that_has_only_begun(tmp_path: Path) -> None:
    begun = Page(report_html(folder_of(tmp_path / "mine", events()[:1])))
    assert "no trial has a validation value" in begun.text
    assert "The study was interrupted before its end." in begun.text
    assert len(begun.all_of("script")) == 2  # no charts, no plotly


@pytest.mark.parametrize("count", [2, 3, 4, 5, 6, 9, 30])
def test_the_report_of_an_unfinished_study(tmp_path: Path, count: int) -> None:
    page = Page(report_html(folder_of(tmp_path / "mine", events()[:count])))
    assert page.unmatched == []
    assert "The study was interrupted before its end." in page.text


def test_the_report_of_a_damaged_study_says_so(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "mine", events())
    lines = (folder / LOG).read_bytes().split(b"\n")
    lines[4] = lines[4][:-5]
    lines[7] = b"\x00\xff"
    (folder / LOG).write_bytes(b"\n".join(lines))
    (folder / ENVIRONMENT).write_text("{", "utf-8")
    (folder / STUDY).unlink()
    page = Page(report_html(folder))
    assert "2 of its" in page.text
    assert "(line 5, 8)" in page.text
    assert "study.toml cannot be read" in page.text
    assert "gru wins" in page.text


BAD = st.sampled_from([None, "x", -1, 1e308, True, [], {}, {"a": "b"}])
DAMAGE = st.lists(st.tuples(st.integers(0, 200), st.integers(0, 9), BAD), max_size=12)


@settings(max_examples=60)
@given(lost=st.sets(st.integers(0, 200), max_size=8), changed=DAMAGE)
def test_no_damage_breaks_the_report(
    lost: set[int], changed: list[tuple[int, int, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    told = events()
    for place, field, value in changed:
        event = told[place % len(told)]
        event[list(event)[field % len(event)]] = value
    kept = [event for place, event in enumerate(told) if place not in lost]
    if "format" in kept[0] and kept[0]["format"] != 1:
        kept[0]["format"] = None
    page = Page(report_html(folder_of(tmp_path_factory.mktemp("damaged"), kept)))
    assert page.unmatched == []


def test_the_file_is_replaced_whole(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "mine", events()[:1])
    target = write_report(folder)
    assert target == folder / "report.html"
    assert write_report(folder, target) == target
    assert sorted(file.name for file in folder.iterdir()) == [
        ENVIRONMENT,
        LOG,
        "report.html",
        STUDY,
    ]
    with pytest.raises(FileNotFoundError):
        write_report(folder, tmp_path / "nowhere" / "r.html")
    with pytest.raises(FileNotFoundError, match="holds no study"):
        report_html(tmp_path / "nothing")


def test_the_command_writes_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = folder_of(tmp_path / "mine", events()[:1])
    target = tmp_path / "page.html"
    with pytest.raises(SystemExit, match="0"):
        main(["report", str(folder), "-o", str(target)])
    assert capsys.readouterr().out == f"the report is in {target}\n"
    assert target.read_text("utf-8").startswith("<!doctype html>")
    with pytest.raises(SystemExit, match="2"):
        main(["report", str(tmp_path / "nothing")])
    assert "holds no study" in capsys.readouterr().err


def test_neither_torch_nor_ray_is_loaded() -> None:
    code = "import sys, search.report.report; print({'torch', 'ray'} & set(sys.modules))"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == "set()\n"
