"""What the scripts here share: medians with their spread, and their sections of a document.

`docs/performance.md` has one section for each script, which that script alone rewrites. A section
states its command, the machine, the versions and the date; the text around the sections is kept.
"""

import argparse
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from statistics import median
from textwrap import fill
from typing import Any

from search.store.environment import commit, installed_version

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "performance.md"
WIDTH = 128
LIBRARIES = {"torch": "torch", "ray": "Ray", "optuna": "Optuna"}
PROGRAM = [sys.executable, "-P", "-c", "from search.cli import main; main()"]
"""`seqtune` of this checkout, as the beginning of a command."""
OURS = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "PYTHONPATH": str(ROOT),
}
"""What processes are told: none begins by writing a token, and ours find this checkout."""


def arguments(doc: str | None) -> argparse.ArgumentParser:
    """A parser with what all scripts take.

    Args:
        doc: The script's docstring; its first line is the description.
    """
    parser = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    parser.add_argument("--document", type=Path, default=DOCUMENT, help="whose section is renewed")
    parser.add_argument("--print-only", action="store_true", help="leave the document as it is")
    parser.add_argument("--repeats", type=int, default=3)
    return parser


def spread(values: Iterable[float], unit: str = "s", digits: int = 2) -> str:
    """The median, with the least and the greatest where there are several."""
    ordered = sorted(values)
    middle = f"{median(ordered):,.{digits}f}{f' {unit}' if unit else ''}"
    if len(ordered) == 1:
        return middle
    return f"{middle} ({ordered[0]:,.{digits}f} to {ordered[-1]:,.{digits}f})"


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the ratios of neighbouring runs, which a busy machine slows alike."""
    return median(a / b for a, b in zip(ours, theirs, strict=True))


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


def judged(what: str, met: bool) -> str:
    """A promise, and whether these figures keep it."""
    return f"- {what}: **{'met' if met else 'missed'}**"


def publish(name: str, title: str, body: str, given: argparse.Namespace) -> None:
    """Print a section, and put it in the place of the one that the document has.

    Args:
        name: The script's, which tells its section from the others.
        given: What `arguments` parsed.
    """
    text = f"## {title}\n\n{filled(body.strip())}\n\n{filled(stamp(name))}"
    print(text)
    if not given.print_only:
        before = given.document.read_text("utf-8") if given.document.exists() else ""
        given.document.write_text(with_section(before, name, text), encoding="utf-8")


def with_section(document: str, name: str, text: str) -> str:
    """The document with a section new or renewed, and everything else as it was."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    section = f"{begin}\n{text}\n{end}"
    there = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if there.search(document):
        return there.sub(lambda _: section, document, count=1)
    return f"{document.rstrip()}\n\n{section}\n".lstrip()


def filled(body: str) -> str:
    """Paragraphs of prose in lines of one width; tables and lists stay as they are."""
    parts = body.split("\n\n")
    return "\n\n".join(part if part[0] in "|-#" else fill(part, WIDTH) for part in parts)


def stamp(name: str) -> str:
    """By which command, where, with which versions and when."""
    words = shlex.join(["python", "-m", f"perf.{name}", *_told(sys.argv[1:])])
    load = os.getloadavg()[0]
    return (
        f"`{words}`, {date.today().isoformat()}, on {machine()} (load at the end {load:.1f}); "  # noqa: DTZ011 - the user's day
        f"{versions()}."
    )


def _told(words: Sequence[str]) -> list[str]:
    """The words of a command without those that name places of this machine."""
    told = [word for word in words if word != "--print-only"]
    for option in ("--document", "--python"):
        while option in told:
            place = told.index(option)
            del told[place : place + 2]
    return told


def machine() -> str:
    """Cores, processor, memory and accelerators."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    gpus = accelerators()
    return (
        f"{os.cpu_count()} cores ({processor()}), {memory:.0f} GiB, {', '.join(gpus) or 'no GPU'}"
    )


def processor() -> str:
    """What the processor calls itself."""
    said = Path("/proc/cpuinfo")
    names = said.read_text("utf-8") if said.exists() else ""
    found = re.search(r"^model name\s*: (.*)$", names, re.MULTILINE)
    return found.group(1).strip() if found else platform.machine()


def accelerators() -> list[str]:
    """NVIDIA's GPUs by name, as the driver's own tool lists them."""
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        # S603: a constant command
        answer = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return []
    return answer.stdout.split("\n")[:-1]


def versions() -> str:
    """Of seqtune, with its commit, and of what it stands on."""
    ours = commit() or f"version {installed_version('seqtune')}"
    changed = " with changes" * ours.endswith("-dirty")
    said = [f"{shown} {installed_version(name)}" for name, shown in LIBRARIES.items()]
    return ", ".join(
        [
            f"seqtune {ours.removeprefix('version ')[:12]}{changed}",
            *said,
            f"Python {platform.python_version()}",
        ]
    )


def run(
    command: Sequence[str], folder: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command in `folder` to its end.

    Raises:
        RuntimeError: It failed; with the end of what it said.
    """
    told: Mapping[str, Any] = {**os.environ, **OURS, **environment}
    # S603: our own commands
    done = subprocess.run(  # noqa: S603
        command, cwd=folder, env=told, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{shlex.join(command)[:200]} failed: {done.stderr[-2000:]}")
    return done
