"""The parts of a report below the verdict: what each says, shows and lets one open."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from search.report.alternatives import (
    ledger_words,
    panel_words,
    parallel_words,
    sizes_words,
    spending_words,
    spreads_words,
)
from search.report.charts import (
    best_by_spending,
    learning_curves,
    parallels,
    settled_range,
    sizes,
    spreads,
    usual_range,
)
from search.report.drawing import (
    Colours,
    Figure,
    draw_ledger,
    draw_panel,
    draw_parallel,
    draw_sizes,
    draw_spending,
    draw_spreads,
)
from search.report.tables import (
    Table,
    accounts,
    configurations_table,
    failures_table,
    front_table,
    leaderboard_table,
    ledger_table,
    pairs_table,
    trials_table,
)
from search.results.fronts import study_front
from search.results.history import History
from search.results.searching import changing_settings
from search.results.standing import Standing
from search.results.verdict import Verdict

ROW_HEIGHT = 46  # pixels of a family in a chart of bars
UPRIGHT_WIDTH = 70  # pixels between two settings


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure with its caption and with words for who cannot see it.

    Attributes:
        height: In pixels.
        width: The least, in pixels; a narrower screen scrolls. None fits any.
    """

    key: str
    caption: str
    words: str
    figure: Figure
    height: int = 340
    width: int | None = None


@dataclass(frozen=True, slots=True)
class Fold:
    """Something that is opened by who wants it."""

    title: str
    table: Table | None = None
    chart: Chart | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page; `key` is its anchor."""

    key: str
    title: str
    lead: str = ""
    points: Sequence[str] = ()
    commands: Sequence[str] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    charts: Sequence[Chart] = ()
    small_charts: Sequence[Chart] = ()
    tables: Sequence[Table] = ()
    folded: Sequence[Fold] = ()

    def all_charts(self) -> list[Chart]:
        """Those in folds, too."""
        folded = [fold.chart for fold in self.folded if fold.chart is not None]
        return [*self.charts, *self.small_charts, *folded]


@dataclass(frozen=True, slots=True)
class Findings:
    """All that the sections are made of.

    Attributes:
        places: The families, best first, and the trivial predictor.
        colours: By family.
    """

    history: History
    places: Sequence[Standing]
    verdict: Verdict
    colours: Colours


def leaderboard_section(found: Findings) -> Section:
    """The families, and all trials."""
    summary = found.history.summary
    trials = trials_table(summary, found.colours)
    return Section(
        "leaderboard",
        "Leaderboard",
        tables=[leaderboard_table(summary, found.places, found.colours)],
        folded=[Fold(trials.caption, table=trials)] if trials.rows else [],
    )


def certainty_section(found: Findings) -> Section | None:
    """Every seed of the finalists, and the families two by two; None without finalists."""
    summary, rows = found.history.summary, spreads(found.places)
    if not rows:
        return None
    baseline = summary.baseline.test if summary.baseline else None
    chart = Chart(
        "spreads",
        "The finalists on the test split: a dot for each seed, the mean with its 95 % interval.",
        spreads_words(rows),
        draw_spreads(rows, summary, found.colours, baseline),
        height=90 + ROW_HEIGHT * len(rows),
    )
    pairs = pairs_table(found.verdict.pairs, summary.metric or "the metric")
    folded = [Fold(pairs.caption, table=pairs)] if pairs.rows else []
    return Section("certainty", "How sure", charts=[chart], folded=folded)


def spending_section(found: Findings) -> Section:
    """What the search cost, and what it had for it."""
    summary = found.history.summary
    books = accounts(summary, found.places)
    lines = best_by_spending(found.history, found.places)
    charts = []
    if lines:
        charts.append(
            Chart(
                "spending",
                "The best validation value of each family over the training that it had spent.",
                spending_words(lines),
                draw_spending(lines, summary, found.colours, settled_range(lines, summary)),
            )
        )
    if any(account.all_seconds for account in books):
        charts.append(
            Chart(
                "ledger",
                "Where the time went: training by family and by what became of the trials.",
                ledger_words(books),
                draw_ledger(books),
                height=110 + ROW_HEIGHT * len(books),
            )
        )
    failures = failures_table(summary)
    tables = [ledger_table(books), *([failures] if failures.rows else [])]
    return Section("spending", "What it cost", charts=charts, tables=tables)


def learning_section(found: Findings) -> Section | None:
    """A small chart of learning curves for each family; None before the first epoch."""
    panels = learning_curves(found.history, found.places)
    if not panels:
        return None
    summary = found.history.summary
    limits = usual_range(panels, summary)
    charts = [
        Chart(
            f"learning-{index}",
            panel.family,
            panel_words(panel, summary),
            draw_panel(panel, summary, found.colours, limits),
            height=220,
        )
        for index, panel in enumerate(panels)
    ]
    metric = (summary.metric or "value").replace("_", " ")
    lead = (
        f"Validation {metric} by epoch: search trials in grey, finalists in colour, all on one "
        "scale that leaves out the worst tenth of the values."
    )
    return Section("learning", "Learning curves", lead=lead, small_charts=charts)


def settings_section(found: Findings) -> Section | None:
    """The best configuration of each family, and all that was tried; None without a value."""
    table = configurations_table(found.places)
    if not table.rows:
        return None
    folded = [
        Fold(
            f"Everything tried: {each.family}",
            chart=Chart(
                f"settings-{index}",
                "A line for each trial, through its settings to its best validation value on the "
                "right; the best trial in colour.",
                parallel_words(each),
                draw_parallel(each, found.colours),
                height=360,
                width=UPRIGHT_WIDTH * len(each.axes) + 60,
            ),
        )
        for index, each in enumerate(parallels(found.history.summary, found.places))
    ]
    lead = " ".join(changing_settings(found.places))
    return Section("settings", "Settings", lead=lead, tables=[table], folded=folded)


def size_section(found: Findings) -> Section | None:
    """What a larger model gained; None without a trial of known size."""
    summary = found.history.summary
    points = sizes(summary)
    if not points:
        return None
    chart = Chart(
        "sizes",
        "The trials of the search that trained to the end, by size. Along the dotted line no "
        "other is both smaller and better.",
        sizes_words(points),
        draw_sizes(points, summary, found.colours),
    )
    return Section("size", "Size", charts=[chart])


def front_section(found: Findings) -> Section | None:
    """The front of several objectives; None where the study has one alone, or no front yet."""
    summary = found.history.summary
    front = study_front(summary)
    if not summary.objectives or not front:
        return None
    table = front_table(summary, front, found.colours)
    return Section("front", "Several objectives", tables=[table])


def criticism_section(weaknesses: Sequence[str]) -> Section:
    """What was weak about the search."""
    lead = "" if weaknesses else "Nothing was found that speaks against this search."
    return Section("criticism", "Criticism", lead=lead, points=weaknesses)


def repetition_section(
    commands: Sequence[str], environment: Mapping[str, str], study: str
) -> Section:
    """How to do it again, and what it was done with.

    Args:
        study: The text of the study's file.
    """
    shown = [Fold("The study file", text=study)] if study else []
    return Section("repeat", "Repeat it", commands=commands, facts=environment, folded=shown)
