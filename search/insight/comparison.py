"""Families compared over several studies: mean ranks, a test, and who cannot be told apart."""

import json
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Literal, Self

from search.insight.ranks import LEVEL, MANY_BENCHMARKS, RankTest
from search.results.cells import number, p_is
from search.results.index import summarize
from search.results.standing import standings
from search.results.summary import StudySummary
from search.results.tables import Block, to_markdown, to_terminal
from search.store.store import read_study, study_folders

Format = Literal["table", "markdown", "json"]
SCALE = 12  # characters from one rank to the next in the diagram
MEANING = (
    "Ranked by the mean over seeds on each test split, 1 is best; "
    "families that share a letter cannot be told apart."
)


class Comparison:
    """The families that have finalists in every one of some studies.

    A benchmark counts once: the means of several studies of it are averaged.

    Attributes:
        means: By benchmark and family, the mean on the test split.
        test: Their ranks.
        left_out: Families that lack finalists in one study or another.
    """

    def __init__(self, summaries: Mapping[str, list[StudySummary]]) -> None:
        by_benchmark = {name: _means(name, studies) for name, studies in summaries.items()}
        everybody = dict.fromkeys(family for means in by_benchmark.values() for family in means)
        families = [
            family
            for family in everybody
            if all(family in means for means in by_benchmark.values())
        ]
        if len(families) < 2:
            raise ValueError(
                "a comparison needs two families with finalists in every study, got "
                f"{', '.join(families) or 'none'}"
            )
        self.left_out = [family for family in everybody if family not in families]
        self.means = by_benchmark
        self.test = RankTest.of(
            {
                family: [
                    summaries[name][0].loss(means[family]) for name, means in by_benchmark.items()
                ]
                for family in families
            }
        )

    @classmethod
    def of(cls, *directories: str | Path) -> Self:
        """Compare the studies in some directories.

        Args:
            directories: Studies' own folders, or folders of such folders.

        Raises:
            FileNotFoundError: There is no study in one of them.
            ValueError: A log is corrupt, or there is nothing to compare.
        """
        summaries: dict[str, list[StudySummary]] = {}
        places = dict.fromkeys(place for each in directories for place in study_folders(each))
        for place in places:
            summaries.setdefault(_benchmark(place), []).append(summarize(place))
        return cls(summaries)

    def sentences(self) -> list[str]:
        """What the ranks amount to."""
        test, count = self.test, len(self.means)
        sentences = []
        if self.left_out:
            missing = ", ".join(self.left_out)
            sentences.append(f"Left out, as they lack finalists in some study: {missing}.")
        if test.p_value is None:
            return [*sentences, "One benchmark shows ranks, but proves nothing about others."]
        names = test.families
        name = "Sign test" if len(names) == 2 else "Friedman test (F of Iman and Davenport)"
        verdict = "ranks differ" if test.p_value < LEVEL else "no family is said to differ"
        sentences.append(
            f"{name} over {count} benchmarks: {p_is(test.p_value)}, so that {verdict}."
        )
        if test.p_value < LEVEL:
            sentences.append(
                f"Nemenyi test: mean ranks differ from {test.critical_difference:.3g} on."
            )
        if count < MANY_BENCHMARKS:
            few = f"Under {MANY_BENCHMARKS} benchmarks such a test is rough, and finds little."
            sentences.append(few)
        return sentences

    def diagram(self) -> str:
        """Mean ranks on a line, each with the critical difference from it on to the right.

        Reference:
            Demsar, JMLR 7, 2006, figure 1, here in plain text.
        """
        test = self.test
        width = max(map(len, test.families))
        ends = range(1, len(test.families) + 1)
        lines = [" " * width + "  " + "".join(str(rank).ljust(SCALE) for rank in ends).rstrip()]
        for family in test.families:
            place = round((test.mean_rank(family) - 1) * SCALE)
            reach = round(min(test.critical_difference or 0.0, ends[-1]) * SCALE)
            reach = min(reach, (ends[-1] - 1) * SCALE - place)
            lines.append(f"{family:<{width}}  {' ' * place}*{'-' * reach}")
        return "".join(f"{line}\n" for line in lines)

    def text(self, output_format: Format = "table") -> str:
        """The comparison for people, or complete as JSON."""
        if output_format == "json":
            return json.dumps(self.to_json(), indent=2, allow_nan=False) + "\n"
        if output_format == "markdown":
            return f"{to_markdown([self._block()])}\n```text\n{self.diagram()}```\n"
        return f"{to_terminal([self._block()])}\n{self.diagram()}"

    def to_json(self) -> dict[str, object]:
        """Families with ranks and means, the tests, and the sentences."""
        test = self.test
        return {
            "benchmarks": list(self.means),
            "families": [
                {
                    "family": family,
                    "mean_rank": test.mean_rank(family),
                    "group": test.groups[family],
                    "ranks": test.ranks[family],
                    "test_means": [means[family] for means in self.means.values()],
                }
                for family in test.families
            ],
            "left_out": self.left_out,
            "friedman_chi_square": test.statistic,
            "p_value": test.p_value,
            "critical_difference": test.critical_difference,
            "sentences": self.sentences(),
        }

    def _block(self) -> Block:
        test = self.test
        cells = [
            [family, f"{test.mean_rank(family):.2f}", test.groups[family]]
            + [
                f"{number(means[family])} ({rank:g})"
                for means, rank in zip(self.means.values(), test.ranks[family], strict=True)
            ]
            for family in test.families
        ]
        return Block(
            title=f"{len(test.families)} families on {len(self.means)} benchmarks",
            headings=["family", "mean rank", "group", *self.means],
            words=frozenset({"family", "group"}),
            cells=cells,
            notes=[MEANING, *self.sentences()],
        )


def _benchmark(folder: Path) -> str:
    """A benchmark's name, with the options that a study gives it."""
    study = read_study(folder)
    options = ", ".join(f"{key}={value}" for key, value in study.benchmark_options.items())
    return f"{study.benchmark_name} ({options})" if options else study.benchmark_name


def _means(benchmark: str, studies: list[StudySummary]) -> dict[str, float]:
    """The families' means on the test split, over all studies of a benchmark."""
    metrics = dict.fromkeys(study.metric for study in studies)
    if len(metrics) > 1:
        names = ", ".join(map(str, metrics))
        raise ValueError(f"studies of {benchmark} must have one metric to be compared, got {names}")
    values: dict[str, list[float]] = {}
    for study in studies:
        for place in standings(study):
            if place.test is not None and not place.is_baseline:
                values.setdefault(place.family, []).append(place.test.mean)
    return {family: fmean(means) for family, means in values.items()}
