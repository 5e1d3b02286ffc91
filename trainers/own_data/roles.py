"""Which column is what: as the user says, else where there is one reading only."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from spaces import did_you_mean
from trainers.own_data.description import OwnData

TIMES: Final = ("time", "date", "datetime", "timestamp", "ds", "t", "step")
IDS: Final = (
    "id",
    "series",
    "series_id",
    "unique_id",
    "item_id",
    "sequence",
    "sequence_id",
    "case",
    "case_id",
)
TARGETS: Final = ("target", "y", "label", "class", "value")
TEXTS: Final = ("text", "sentence", "question", "review", "document", "content")


@dataclass(slots=True)
class Roles:
    """The columns of a table, by role.

    Attributes:
        path: The file whose columns they are.
        kinds: All columns, with what each seems to hold.
        taken: The role of each column that has one.
        inferred: The columns whose role nobody gave.
    """

    path: Path
    kinds: Mapping[str, str]
    taken: dict[str, str] = field(default_factory=dict)
    inferred: set[str] = field(default_factory=set)

    def give(self, role: str, columns: Collection[str]) -> tuple[str, ...]:
        """Give the user's columns their role.

        Raises:
            ValueError: There is no such column.
        """
        for column in columns:
            if column not in self.kinds:
                hint = did_you_mean(column, set(self.kinds))
                raise ValueError(f"{self.path} has no column {column!r} to be the {role}{hint}")
            self.taken.setdefault(column, role)
        return tuple(columns)

    def named(self, role: str, names: Collection[str]) -> str | None:
        """Infer a role: the only column left that has one of these names, if there is one."""
        return self._take(role, [name for name in self.left() if name.lower() in names])

    def only(self, role: str, kind: str, *, but: Collection[str] = ()) -> str | None:
        """Infer a role: the only column left of a kind, if there is one; `but` for these names."""
        found = [name for name in self.left(kind) if name.lower() not in but]
        return self._take(role, found)

    def left(self, kind: str | None = None) -> list[str]:
        """The columns without a role, of one kind or all."""
        return [
            name
            for name, its_kind in self.kinds.items()
            if name not in self.taken and kind in (None, its_kind)
        ]

    def rest(self, role: str, kind: str) -> tuple[str, ...]:
        """Infer a role: all columns left of a kind."""
        found = tuple(self.left(kind))
        self.taken |= dict.fromkeys(found, role)
        self.inferred |= set(found)
        return found

    def needed(self, role: str, found: str | None, meaning: str) -> str:
        """`found`, which must be.

        Raises:
            ValueError: It is None.
        """
        if found is None:
            columns = ", ".join(self.kinds)
            raise ValueError(f"`{role}` must name {meaning}; {self.path} has: {columns}")
        return found

    def _take(self, role: str, found: list[str]) -> str | None:
        if len(found) != 1:
            return None
        self.taken[found[0]] = role
        self.inferred.add(found[0])
        return found[0]

    def words(self) -> list[str]:
        """One phrase for each role, and the columns that are not used."""
        roles: dict[str, list[str]] = {}
        for column in self.kinds:
            role = self.taken.get(column, "not used")
            mark = " (inferred)" if column in self.inferred else ""
            roles.setdefault(role, []).append(f"{column}{mark}")
        unused = roles.pop("not used", [])
        lines = [f"{role}: {', '.join(columns)}" for role, columns in roles.items()]
        return [*lines, *([f"not used: {', '.join(unused)}"] if unused else [])]


def given_roles(own: OwnData, path: Path, kinds: Mapping[str, str]) -> Roles:
    """The roles that the user gave.

    Raises:
        ValueError: There is no such column.
    """
    roles = Roles(path, kinds)
    for role in ("time", "id", "target", "covariates", "future_covariates", "text", "group"):
        given = getattr(own, role) or ()
        roles.give(role, (given,) if isinstance(given, str) else given)
    return roles
