"""A study with more budget, more families or other changes, as a person asks for it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

from search.store.store import STUDY
from search.study import Study
from search.study_file import merge, override, read_toml


@dataclass(frozen=True, slots=True)
class Extension:
    """What is to be different in a study from now on.

    Args:
        options: By dotted key, such as `budget.seconds`; None is an option that was not given.
        families: That are to compete as well.
        changes: `key=value` each, made last.
        sources: Source text of those families that are a user's own.
        id: Which extension it is, for whoever asks a driver for it.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    families: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    id: str = field(default_factory=lambda: uuid4().hex)

    def __bool__(self) -> bool:
        """Whether it asks for anything."""
        given = any(value is not None for value in self.options.values())
        return bool(given or self.families or self.changes)

    def of(self, folder: Path) -> Study:
        """The study in `folder` with these changes.

        Raises:
            OSError: The study's file cannot be read.
            ValueError: The changed study is wrong.
        """
        mapping = read_toml(folder / STUDY)
        families = [*mapping.get("families", ()), *self.families]
        changed = merge(mapping, {**self.options, "families": families})
        return Study.from_mapping(override(changed, self.changes))

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back."""
        return asdict(self)

    @classmethod
    def from_json(cls, tree: Mapping[str, Any]) -> Self:
        """The extension that `to_json` wrote.

        Raises:
            TypeError, KeyError: It did not.
        """
        lists = {name: tuple(tree[name]) for name in ("families", "changes")}
        return cls(**{**tree, **lists})
