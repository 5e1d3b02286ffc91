"""The tables of a report: cells with what they are sorted by."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from search.report.charts import settings, word
from search.results.cells import count, interval, number, seconds
from search.results.fronts import Candidate, objectives, shown
from search.results.pairs import PairVerdict
from search.results.standing import Standing, best_first
from search.results.summary import StudySummary, TrialSummary
from search.trial import USELESS, State

MOST_TRIALS = 500  # rows: more than anybody reads, and sorted in an instant
PARTS = ("model", "head", "training")
UNFINISHED = "unfinished"
FINALISTS = "finalists"
FATES = (
    State.complete,
    State.pruned,
    State.stopped,
    State.failed,
    State.infeasible,
    UNFINISHED,
)


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands in a table.

    Attributes:
        key: A number or a word to sort by; None is sorted last.
        quiet: What stands before the text and matters less.
        colour: Of the family's mark before the text.
    """

    text: str
    key: float | str | None = None
    colour: str | None = None
    quiet: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its heading, what that means, and whether it holds numbers."""

    heading: str
    meaning: str = ""
    is_number: bool = True


@dataclass(frozen=True, slots=True)
class Table:
    """A table; the cell `header` of each row names the row.

    Attributes:
        sortable: Whether another order of its rows can tell something.
        total: A last row that is not sorted with the others.
        muted: Places of rows that do not compete.
    """

    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    header: int = 0
    sortable: bool = True
    total: Sequence[Cell] = ()
    muted: frozenset[int] = frozenset()


@dataclass(slots=True)
class Account:
    """What one family's trials came to, and the seconds that they trained, by fate."""

    family: str
    trials: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=dict)
    epochs: int = 0
    redrawn: int = 0

    @property
    def all_seconds(self) -> float:
        """All training, that of finalists included."""
        return sum(self.seconds.values())

    def add(self, fate: str, trials: int, seconds: float, epochs: int) -> None:
        """Book trials that met the same fate."""
        self.trials[fate] += trials
        self.seconds[fate] = self.seconds.get(fate, 0.0) + seconds
        self.epochs += epochs


def aligned(values: Sequence[float | None]) -> list[str]:
    """Numbers of a column with the same decimals, where they are of one order."""
    texts = [number(value) for value in values]
    sizes = [abs(value) for value in values if value]
    if any("e" in text for text in texts) or (sizes and max(sizes) > 1000 * min(sizes)):
        return texts
    decimals = max((len(text.partition(".")[2]) for text in texts), default=0)
    return ["" if value is None else f"{value:.{decimals}f}" for value in values]


def front_table(
    summary: StudySummary, front: Sequence[Candidate], colours: Mapping[str, str]
) -> Table:
    """A row for each trial that no other beats in all objectives."""
    names = objectives(summary)
    columns = [Column("trial"), Column("family", is_number=False)]
    columns += [Column(name.replace("_", " ")) for name in names]
    rows = [
        [
            Cell(str(each.trial.trial), each.trial.trial),
            Cell(each.trial.family, each.trial.family, colours.get(each.trial.family)),
            *(Cell(shown(value), value) for value in each.values),
        ]
        for each in front
    ]
    return Table("The trials that no other beats in all objectives at once", columns, rows)


def leaderboard_table(
    summary: StudySummary, places: Sequence[Standing], colours: Mapping[str, str]
) -> Table:
    """A row for each family, best first, the trivial predictor in its place."""
    metric = (summary.metric or "value").replace("_", " ")
    columns = [
        Column("rank"),
        Column("family", is_number=False),
        Column(f"test {metric}", "mean over the finalist's seeds, with its 95 % interval"),
        Column("tie", "families that share a letter cannot be told apart", is_number=False),
        Column(f"valid {metric}", "the best validation value of the family's search"),
        Column("epoch", "at which it was reached"),
        Column("parameters"),
        Column("training", "of all the family's trials, finalists included"),
    ]
    rows = [
        _leaderboard_row(place, valid, colours.get(place.family))
        for place, valid in zip(places, aligned([place.valid for place in places]), strict=True)
    ]
    muted = frozenset(index for index, place in enumerate(places) if place.is_baseline)
    return Table("Families, best first", columns, rows, header=1, muted=muted)


def pairs_table(pairs: Sequence[PairVerdict], metric: str) -> Table:
    """A row for each two families that can be compared."""
    columns = [
        Column("ahead", is_number=False),
        Column("behind", is_number=False),
        Column("by", f"the difference in {metric}, with its 95 % interval"),
        Column("probability", "that the one ahead is truly the better"),
        Column("corrected p", "of no difference, corrected for all pairs; claimed below 0.05"),
        Column("verdict", is_number=False),
    ]
    return Table("Families two by two", columns, [_pair_row(pair) for pair in pairs])


def accounts(summary: StudySummary, places: Sequence[Standing]) -> list[Account]:
    """By family, best first."""
    found = {place.family: Account(place.family) for place in places if not place.is_baseline}
    for trial in summary.trials.values():
        found[trial.family].add(_fate(trial), 1, trial.train_seconds, trial.trained_epochs)
        found[trial.family].redrawn += trial.redrawn
    return list(found.values())


def ledger_table(books: Sequence[Account]) -> Table:
    """What was spent, by family; the last row is the sum."""
    columns = [
        Column("family", is_number=False),
        *(Column(fate, FATE_MEANINGS[fate]) for fate in (*FATES, FINALISTS)),
        Column("epochs"),
        Column("training"),
        Column("drawn again", "proposals that the study's limits did not admit"),
    ]
    total = Account("all")
    for account in books:
        total.epochs += account.epochs
        total.redrawn += account.redrawn
        for fate, trials in account.trials.items():
            total.add(fate, trials, account.seconds[fate], 0)
    rows = [_ledger_row(account) for account in books]
    return Table("Trials by fate, and training", columns, rows, total=_ledger_row(total))


def trials_table(summary: StudySummary, colours: Mapping[str, str]) -> Table:
    """The best trials, finalists included."""
    metric = (summary.metric or "value").replace("_", " ")
    columns = [
        Column("trial"),
        Column("family", is_number=False),
        Column("state", is_number=False),
        Column("finalist of", "the search trial whose configuration it repeats"),
        *_copied_from(summary),
        Column("origin", "whence its configuration is", is_number=False),
        Column(f"valid {metric}"),
        Column("epoch", "of that value"),
        Column("epochs", "trained in all"),
        Column("parameters"),
        Column("training"),
    ]
    trials = best_first(summary)
    shown = trials[:MOST_TRIALS]
    rows = [
        _trial_row(trial, value, colours.get(trial.family), copies=bool(_copied_from(summary)))
        for trial, value in zip(shown, aligned([trial.best for trial in shown]), strict=True)
    ]
    of_all = "" if len(trials) <= MOST_TRIALS else f", {MOST_TRIALS} of {len(trials):,}"
    return Table(f"All trials, best first{of_all}", columns, rows)


def failures_table(summary: StudySummary) -> Table:
    """Why trials came to nothing, the most frequent cause first."""
    failed = [trial for trial in summary.trials.values() if trial.state in USELESS]
    causes = Counter((trial.family, trial.cause or "unknown") for trial in failed)
    columns = [Column("family", is_number=False), Column("trials"), Column("cause", "", False)]
    rows = [
        [_word(family), Cell(count(often), often), _word(cause)]
        for (family, cause), often in causes.most_common()
    ]
    return Table("Why trials failed", columns, rows)


def configurations_table(places: Sequence[Standing]) -> Table:
    """A row for each setting, a column for each family's best configuration."""
    configs = {
        place.family: dict(settings(json.loads(place.best.config)))
        for place in places
        if place.best is not None
    }
    known = dict.fromkeys(name for config in configs.values() for name in config)
    names = sorted(known, key=lambda name: PARTS.index(name.partition("/")[0]))
    columns = [Column("setting", is_number=False), *(Column(family) for family in configs)]
    rows = [
        [
            setting_cell(name),
            *(Cell(word(config[name]) if name in config else "") for config in configs.values()),
        ]
        for name in names
    ]
    return Table("The best configuration of each family", columns, rows, sortable=False)


def setting_cell(path: str) -> Cell:
    """A setting's name, the way to it in quiet letters before it."""
    outer, slash, last = path.rpartition("/")
    return Cell(last, last, quiet=outer + slash)


def _leaderboard_row(place: Standing, valid: str, colour: str | None) -> list[Cell]:
    test, best = place.test, place.best
    return [
        Cell(count(place.rank), place.rank),
        Cell(place.marked, place.family, colour),
        Cell(interval(test.mean, test.low, test.high), test.mean) if test else Cell(""),
        Cell(place.tie_group or "", place.tie_group),
        Cell(valid, place.valid),
        _count(best.best_epoch if best else None),
        _count(best.parameters if best else None),
        Cell("") if place.is_baseline else _seconds(place.train_seconds),
    ]


def _pair_row(pair: PairVerdict) -> list[Cell]:
    by, p_value = pair.difference, pair.corrected_p_value
    return [
        _word(pair.better),
        _word(pair.worse),
        Cell(interval(by.mean, by.low, by.high), by.mean),
        Cell(f"{100 * pair.probability:.3g} %", pair.probability),
        Cell("too few seeds") if p_value is None else Cell(f"{p_value:.2g}", p_value),
        _word("beats" if pair.beats else "cannot be told apart"),
    ]


def _ledger_row(account: Account) -> list[Cell]:
    return [
        _word(account.family),
        *(_count(account.trials[fate]) for fate in (*FATES, FINALISTS)),
        _count(account.epochs),
        _seconds(account.all_seconds),
        _count(account.redrawn),
    ]


def _copied_from(summary: StudySummary) -> list[Column]:
    """A column for the origin of copies, where there are any."""
    copies = any(trial.copied_from is not None for trial in summary.trials.values())
    return [Column("copied from", "the trial whose weights it began with")] if copies else []


def _trial_row(trial: TrialSummary, value: str, colour: str | None, *, copies: bool) -> list[Cell]:
    return [
        _count(trial.trial),
        Cell(trial.family, trial.family, colour),
        _word(str(trial.state)),
        _count(trial.finalist_of),
        *([_count(trial.copied_from)] if copies else []),
        _word(trial.origin or ""),
        Cell(value, trial.best),
        _count(trial.best_epoch),
        _count(trial.epochs),
        _count(trial.parameters),
        _seconds(trial.train_seconds),
    ]


def _fate(trial: TrialSummary) -> str:
    if trial.finalist_of is not None:
        return FINALISTS
    return str(trial.state) if trial.state in FATES else UNFINISHED


def _count(value: int | None) -> Cell:
    return Cell(count(value), value)


def _seconds(value: float) -> Cell:
    return Cell(seconds(value), value)


def _word(text: str) -> Cell:
    return Cell(text, text.lower())


FATE_MEANINGS = {
    State.complete: "trained to the end, or as long as the study's patience lasted",
    State.pruned: "given up for better ones",
    State.stopped: "ended by a person",
    State.failed: "ended by an error",
    State.infeasible: "larger than the memory of the device",
    UNFINISHED: "have work left",
    FINALISTS: "runs that confirm the best",
}
