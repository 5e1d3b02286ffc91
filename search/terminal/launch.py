"""A study run for a person: progress, leaderboard, exported winner, and what to run next."""

from pathlib import Path

from rich.console import Console

from search.export import BEST, export_winner
from search.insight.criticism import criticism
from search.insight.next_study import next_study
from search.results.leaderboard import Leaderboard
from search.runner.runner import run_study
from search.store.copies import drop, shown
from search.store.log import read_events
from search.store.mirror import publish
from search.study import Study
from search.terminal.progress import Progress

NEXT = "next.toml"
COMPLETE, NOTHING_COMPLETE = 0, 1


def launch(
    study: Study,
    directory: Path,
    *,
    resume: bool = False,
    address: str | None = None,
    quiet: bool = False,
) -> int:
    """Run or resume a study, print its leaderboard and export its winner; the exit code.

    What was weak about the search is said, and a study file that answers it is left as `next.toml`.

    Raises:
        KeyboardInterrupt, ValueError, OSError, RuntimeError: As `run_study`.
    """
    console, errors = Console(), Console(stderr=True)
    earlier = list(read_events(directory)) if resume else []
    extra = Console(quiet=True) if quiet else console
    try:
        with Progress(study, extra, earlier=earlier) as progress:
            end = run_study(study, directory, resume=resume, address=address, see=progress.see)
    except KeyboardInterrupt:
        if directory.exists():
            say(errors, f"everything is saved; go on with: seqtune resume {shown(directory)}")
        raise
    if not end.complete:
        cause = f": most often {end.commonest_cause}" if end.commonest_cause else ""
        say(errors, f"no trial of {shown(directory)} completed{cause}")
        _hand_over(directory)
        return NOTHING_COMPLETE
    say(console, Leaderboard(directory).text())
    best = export_winner(directory)
    place = shown(directory)
    say(console, f"The best model, trial {best.trial} ({best.family}), is in {place}/{BEST}")
    (directory / NEXT).write_text(next_study(directory), encoding="utf-8")
    for sentence in criticism(directory):
        say(extra, f"Weakness: {sentence}")
    say(extra, f"What to run next: seqtune run {place}/{NEXT}")
    _hand_over(directory)
    return COMPLETE


def _hand_over(directory: Path) -> None:
    """Of a study in an object store, all is there now and nothing here any more."""
    publish(directory)
    drop(directory)


def say(console: Console, text: str) -> None:
    """Print text as it is."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)
