"""The charts of a report in words, for who cannot see them."""

from collections.abc import Iterable, Sequence

from search.report.charts import Line, Panel, Parallel, Size, Spread
from search.report.tables import Account
from search.results.cells import count, interval, number, seconds
from search.results.summary import StudySummary


def spending_words(lines: Sequence[Line]) -> str:
    """What each family reached, at what cost."""
    return _list(
        f"{line.name} reached {number(line.points[-1][1])} in {seconds(line.points[-1][0])}"
        for line in lines
    )


def spreads_words(rows: Sequence[Spread]) -> str:
    """Each family's mean and interval."""
    return _list(
        f"{row.family} {interval(row.interval.mean, row.interval.low, row.interval.high)}"
        for row in rows
    )


def sizes_words(points: Sequence[Size]) -> str:
    """The trials on the front of small and good."""
    front = sorted((p for p in points if p.on_front), key=lambda point: point.parameters)
    return _list(
        f"{point.family} {number(point.value)} with {count(point.parameters)} parameters"
        for point in front
    )


def panel_words(panel: Panel, summary: StudySummary) -> str:
    """How far one family's learning curves go, and where the best ends."""
    lines = panel.finalists or panel.search
    last = [line.points[-1] for line in lines]
    best = min((summary.loss(value) for _, value in last), default=0.0)
    kind = "finalists" if panel.finalists else "search trials"
    epochs = max((epoch for epoch, _ in last), default=0)
    value = number(-best if summary.maximize else best)
    return (
        f"{len(lines)} {kind} of {panel.family}, up to epoch {epochs:g}; the best ends at {value}."
    )


def parallel_words(parallel: Parallel) -> str:
    """The settings of a family's best trial."""
    best = [f"{axis.name} {axis.texts[0]}" for axis in parallel.axes]
    return f"The best of {len(parallel.trials)} trials, trial {parallel.trials[0]}: {_list(best)}"


def ledger_words(books: Sequence[Account]) -> str:
    """What each family's trials trained, by fate."""
    return _list(
        f"{account.family} "
        + ", ".join(f"{seconds(spent)} {fate}" for fate, spent in account.seconds.items() if spent)
        for account in books
    )


def _list(parts: Iterable[str]) -> str:
    return f"{'; '.join(parts)}."
