"""Where studies stand, told from their logs."""

from collections.abc import Iterable
from pathlib import Path

from search.results.index import summarize
from search.results.planned import against_plan
from search.results.summary import StudySummary, interrupt
from search.results.tables import to_terminal
from search.store.copies import shown
from search.store.lock import LOCK, living_writer
from search.store.log import LOG, decode, whole_lines
from search.store.store import study_folders
from search.terminal.progress import progress_block
from search.trial import State


def status_text(places: Iterable[Path]) -> str:
    """A table of families for each study, under a line that says whether it runs.

    Args:
        places: Studies' folders, or folders of studies.

    Raises:
        FileNotFoundError: A place holds no study.
        ValueError: A log is corrupt.
    """
    folders = dict.fromkeys(folder for place in places for folder in study_folders(place))
    return "\n".join(_status(folder) for folder in folders)


def _status(folder: Path) -> str:
    summary, place = summarize(folder), shown(folder)
    holder = living_writer(folder / LOCK)
    if holder is not None:
        standing = f"runs on {holder.host} (process {holder.pid})"
    else:
        interrupt(summary)
        standing = "finished" if _is_finished(folder, summary) else "interrupted"
    hint = f"\n Go on with: seqtune resume {place}\n" if standing == "interrupted" else ""
    block = progress_block(summary, f"{place}: {standing}")
    plan = "".join(f" {sentence}\n" for sentence in against_plan(folder, summary))
    notes = "".join(f" Note: {note}.\n" for note in summary.reservations())
    packing = f" GPUs: {summary.packing}.\n" if summary.packing else ""
    return to_terminal([block]) + packing + plan + notes + hint


def _is_finished(folder: Path, summary: StudySummary) -> bool:
    """Whether the last driver said goodbye and left nothing to do."""
    lines = whole_lines(folder)
    last = decode(lines[-1], folder / LOG, len(lines))
    return last["event"] == "closed" and all(
        State(trial.state).final for trial in summary.trials.values()
    )
