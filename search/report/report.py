"""A study as one HTML page that needs nothing else: the verdict first, in words."""

import json
import shlex
from base64 import b64encode
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from plotly.offline import get_plotlyjs

from search.insight.criticism import criticism
from search.report.behaving import behaviour_section
from search.report.drawing import family_colours
from search.report.mattering import mattering_section
from search.report.sections import (
    Findings,
    Section,
    certainty_section,
    criticism_section,
    front_section,
    leaderboard_section,
    learning_section,
    repetition_section,
    settings_section,
    size_section,
    spending_section,
)
from search.results.cells import seconds
from search.results.history import History, read_history
from search.results.planned import against_plan
from search.results.standing import standings
from search.results.verdict import Verdict
from search.store.behaviour import read_behaviour
from search.store.copies import shown
from search.store.environment import installed_version
from search.store.store import ENVIRONMENT, STUDY

PAGE = Path(__file__).with_name("page")
REPORT = "report.html"
MOST_LINES = 10  # damaged ones that are named


def write_report(directory: Path, path: Path | None = None) -> Path:
    """Write the report of the study in `directory` to a file, and say where that is.

    Args:
        path: `report.html` in the study's folder if None.

    Raises:
        FileNotFoundError: There is no study.
        OSError: The file cannot be written.
        ValueError: The study's log has a format that this version does not read.
    """
    text = report_html(directory)
    path = path or directory / REPORT
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
    return path


def report_html(directory: Path, *, version_shown: str = "") -> str:
    """The report of the study in `directory`, of a running or damaged one as far as it is whole.

    Args:
        version_shown: For a page that is served: it asks its server again and again which version
            there is, and loads itself anew where that is another one.

    Raises:
        FileNotFoundError: There is no study.
        ValueError: The study's log has a format that this version does not read.
    """
    history = read_history(directory)
    summary = history.summary
    places = standings(summary)
    verdict = Verdict.over(summary, places)
    families = [place.family for place in places if not place.is_baseline]
    found = Findings(history, places, verdict, family_colours(families))
    sections = _sections(directory, found)
    charts = [chart for section in sections for chart in section.all_charts()]
    script, reload = _read("report.js"), _read("reload.js") if version_shown else ""
    plotly = get_plotlyjs() if charts else ""
    page: str = _template().render(
        study=summary.study,
        facts=_facts(history),
        notices=_notices(directory, history),
        verdict=verdict.sentences,
        sections=sections,
        figures={chart.key: chart.figure for chart in charts},
        style=_read("report.css"),
        script=script,
        reload=reload,
        version_shown=version_shown,
        plotly=plotly,
        script_hashes=[_hash(text) for text in (plotly, script, reload) if text],
        version=installed_version("seqtune") or "",
    )
    return page


def _sections(directory: Path, found: Findings) -> list[Section]:
    environment = _environment(directory)
    sections = [
        leaderboard_section(found),
        certainty_section(found),
        spending_section(found),
        learning_section(found),
        settings_section(found),
        mattering_section(directory, found),
        size_section(found),
        front_section(found),
        behaviour_section(read_behaviour(directory)),
        criticism_section(criticism(directory)),
        repetition_section(
            _commands(directory, environment), _about(environment), _text(directory / STUDY)
        ),
    ]
    return [section for section in sections if section is not None]


def _facts(history: History) -> list[str]:
    """The study in a line: benchmark, metric, size, time."""
    summary = history.summary
    trials = summary.trials.values()
    facts = [str(summary.benchmark or "")]
    if summary.metric:
        direction = "higher" if summary.maximize else "lower"
        facts.append(f"{summary.metric.replace('_', ' ')}, {direction} is better")
    search = sum(trial.finalist_of is None for trial in trials)
    facts.append(f"{search:,} trials and {len(trials) - search:,} runs of finalists")
    facts.append(f"{seconds(sum(trial.train_seconds for trial in trials))} of training")
    facts += summary.reservations()
    if history.last_time is not None:
        moment = datetime.fromtimestamp(history.last_time, UTC)
        facts.append(f"as of {moment:%d %B %Y, %H:%M} UTC")
    return [fact for fact in facts if fact]


def _notices(directory: Path, history: History) -> list[str]:
    """What keeps this from being the whole story."""
    notices = []
    if history.writer is not None:
        notices.append(
            f"The study is still running (process {history.writer.pid} on {history.writer.host}); "
            "this is how it stood when the report was made."
        )
    elif not history.finished:
        notices.append(
            "The study was interrupted before its end. Go on with: seqtune resume "
            f"{shown(directory)}"
        )
    if history.damaged:
        notices.append(_damage(history))
    notices += [
        f"{directory / name} cannot be read, so the report does without it."
        for name in (STUDY, ENVIRONMENT)
        if not _text(directory / name)
    ]
    return notices + against_plan(directory, history.summary)


def _damage(history: History) -> str:
    lines = history.damaged
    named = ", ".join(str(number) for number in lines[:MOST_LINES])
    more = f" and {len(lines) - MOST_LINES:,} more" if len(lines) > MOST_LINES else ""
    return (
        f"The study's log is damaged: {len(lines):,} of its {history.lines:,} lines say nothing "
        f"that can be used (line {named}{more}). The report is made from the others."
    )


def _environment(directory: Path) -> dict[str, Any]:
    """What the study recorded of its environment; empty where that is lost."""
    try:
        tree = json.loads(_text(directory / ENVIRONMENT))
    except ValueError:
        return {}
    return tree if isinstance(tree, dict) else {}


def _about(environment: dict[str, Any]) -> dict[str, str]:
    """The environment as words, what is unknown left out."""
    libraries = environment.get("libraries")
    versions = libraries.items() if isinstance(libraries, dict) else ()
    devices = environment.get("devices")
    told = {
        "seqtune": environment.get("seqtune"),
        "commit": environment.get("commit"),
        "Python": environment.get("python"),
        "libraries": ", ".join(f"{name} {version}" for name, version in versions if version),
        "platform": environment.get("platform"),
        "host": environment.get("host"),
        "CPU cores": environment.get("cpus"),
        "devices": ", ".join(map(str, devices)) if isinstance(devices, list) else None,
    }
    return {name: str(value) for name, value in told.items() if value}


def _commands(directory: Path, environment: dict[str, Any]) -> list[str]:
    """The command that was given, and one that needs the study's folder only."""
    words = environment.get("command")
    given = [str(word) for word in words[1:]] if isinstance(words, list) else []
    name = f"{directory.resolve().name}-again"
    again = ["run", str(directory / STUDY), "--name", name]
    return [shlex.join(["seqtune", *command]) for command in (given, again) if command]


def _template() -> Any:
    """The page, in which all that is filled in is escaped."""
    loader = FileSystemLoader(PAGE)
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    environment.filters["unbroken"] = _unbroken
    return environment.get_template("report.html")


def _unbroken(text: str) -> str:
    """A sentence in which no line begins with a unit or a sign."""
    for sign in ("±", "=", "%"):
        text = text.replace(f" {sign}", f"\N{NO-BREAK SPACE}{sign}")
    return text.replace("± ", "±\N{NO-BREAK SPACE}").replace("= ", "=\N{NO-BREAK SPACE}")


def _read(name: str) -> str:
    return (PAGE / name).read_text(encoding="utf-8")


def _text(path: Path) -> str:
    """A file's text, whatever it holds; nothing where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _hash(script: str) -> str:
    """What allows the page to run this very script, and no other."""
    return f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'"
