"""What a user says of data of their own: files, task, and which column is what."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final, Self

from spaces import did_you_mean

TASKS: Final = (
    "forecasting",
    "classification",
    "regression",
    "tagging",
    "language_modelling",
    "translation",
    "anomaly_detection",
)
STEPS: Final = {"classification", "regression", "anomaly_detection"}
"""Tasks that may read a row for each step, with columns of features."""
LEVELS: Final = ("word", "character")
ONLY_FOR: Final = {
    "time": {"forecasting", *STEPS},
    "id": {"forecasting", *STEPS},
    "covariates": {"forecasting", *STEPS},
    "group": {"classification", "regression"},
    "future_covariates": {"forecasting"},
    "horizon": {"forecasting"},
    "look_back": {"forecasting"},
    "season": {"forecasting"},
    "text": {"classification", "regression", "tagging", "translation"},
    "level": {"language_modelling"},
}


@dataclass(frozen=True, kw_only=True)
class OwnData:
    """A user's own data; what is left out is inferred where there is one reading only.

    Attributes:
        data: Files of one kind, all of them train unless parts are held out.
        task: One of `TASKS`.
        valid: Files that are the validation split; else a part of `data` is held out.
        test: Files that are the test split; else a part of `data` is held out.
        target: The columns asked for: several series in forecasting, several numbers in regression;
            in anomaly detection the one that marks anomalies.
        time: The column of times: ISO dates or whole numbers.
        id: The column that tells series, or sequences, apart.
        covariates: In forecasting, columns known up to now; else the features of a step, which in
            anomaly detection are watched.
        future_covariates: In forecasting, columns known ahead.
        text: The column of the text, of the words to tag, or of what is to be translated.
        level: In language modelling, what a token is: "word" or "character"; words if None.
        group: Examples of one group come into one split.
        horizon: In forecasting, steps asked for.
        look_back: In forecasting, steps seen.
        season: In forecasting, steps after which series tend to repeat themselves.
        valid_share: Of `data` held out for validation, where there are no files for it.
        test_share: Of `data` held out for the test, where there are no files for it.
        seed: Of every draw.

    Raises:
        ValueError: A field is out of range, or of no meaning for the task.
    """

    data: tuple[str, ...]
    task: str
    valid: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    target: tuple[str, ...] = ()
    time: str | None = None
    id: str | None = None
    covariates: tuple[str, ...] = ()
    future_covariates: tuple[str, ...] = ()
    text: str | None = None
    level: str | None = None
    group: str | None = None
    horizon: int | None = None
    look_back: int | None = None
    season: int | None = None
    valid_share: float = 0.15
    test_share: float = 0.15
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.data:
            raise ValueError("`data` must name at least one file")
        if self.task not in TASKS:
            known = ", ".join(TASKS)
            raise ValueError(f"`task` of own data must be one of {known}, got {self.task!r}")
        self._check_meaning()
        self._check_numbers()
        if self.valid and not self.test:
            raise ValueError("`test` must name files, too, where `valid` does")

    def _check_meaning(self) -> None:
        self.refuse(
            [field for field, tasks in ONLY_FOR.items() if self.task not in tasks],
            f"in {self.task}",
        )
        several = ("forecasting", "regression")
        if self.task not in several and len(self.target) > 1:
            raise ValueError(f"`target` must be one column in {self.task}, got {len(self.target)}")
        if self.task == "forecasting" and self.horizon is None:
            raise ValueError(
                "`horizon` must be given for forecasting: the number of steps asked for"
            )
        if self.level not in (None, *LEVELS):
            hint = did_you_mean(str(self.level), set(LEVELS))
            raise ValueError(f"`level` must be word or character, got {self.level!r}{hint}")
        if self.valid or self.test:
            self.refuse(["group"], "where `valid` or `test` are files of their own")
        self._check_roles()

    def _check_roles(self) -> None:
        roles: dict[str, str] = {}
        for field in ("time", "id", "target", "covariates", "future_covariates", "text"):
            given = getattr(self, field) or ()
            for column in (given,) if isinstance(given, str) else given:
                if column in roles:
                    raise ValueError(
                        f"column {column!r} must have one role, got {roles[column]} and {field}"
                    )
                roles[column] = field

    def _check_numbers(self) -> None:
        for field in ("horizon", "look_back", "season"):
            value = getattr(self, field)
            if value is not None and value < 1:
                raise ValueError(f"`{field}` must be at least 1, got {value}")
        for field in ("valid_share", "test_share"):
            if not 0 < getattr(self, field) < 1:
                raise ValueError(f"`{field}` must be between 0 and 1, got {getattr(self, field)}")
        if self.valid_share + self.test_share >= 1:
            raise ValueError(
                f"`valid_share` and `test_share` must leave something to train on, "
                f"got {self.valid_share} and {self.test_share}"
            )
        if self.seed < 0:
            raise ValueError(f"`seed` must be at least 0, got {self.seed}")

    def refuse(self, fields: Iterable[str], where: str) -> None:
        """Refuse fields that were given and say nothing.

        Raises:
            ValueError: One was.
        """
        for field in fields:
            if getattr(self, field) not in (None, ()):
                raise ValueError(f"`{field}` has no meaning {where}; leave it out")

    def anchored(self, folder: Path) -> Self:
        """The same data wherever one stands: paths that are relative begin at `folder`."""
        anchored: dict[str, Any] = {
            name: tuple(str((folder / path).absolute()) for path in getattr(self, name))
            for name in ("data", "valid", "test")
        }
        return replace(self, **anchored)

    @property
    def name(self) -> str:
        """The name of the data set: that of its first file, without what comes after the dot."""
        return Path(self.data[0]).name.partition(".")[0] or "data"

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Self:
        """The description in a table of a study; a list of one may be given as plain text.

        Raises:
            ValueError: A key is unknown or missing, or a value is of another type.
        """
        known = {field.name for field in fields(cls)}
        for key in mapping:
            if key not in known:
                raise ValueError(f"`data` has no key {key!r}{did_you_mean(str(key), known)}")
        for key in ("data", "task"):
            if key not in mapping:
                raise ValueError(f"own data must have the key {key!r}")
        fitting: dict[str, Any] = {key: _fitting(key, value) for key, value in mapping.items()}
        return cls(**fitting)

    def to_json(self) -> dict[str, Any]:
        """What `from_mapping` reads, without what was left at its default."""
        return {
            field.name: list(value) if isinstance(value, tuple) else value
            for field in fields(self)
            if (value := getattr(self, field.name)) != field.default
        }


def _fitting(key: str, value: object) -> object:
    if key in ("data", "valid", "test", "target", "covariates", "future_covariates"):
        values = [value] if isinstance(value, str) else value
        if isinstance(values, list | tuple) and all(isinstance(one, str) for one in values):
            return tuple(values)
        raise ValueError(f"`{key}` must be text or a list of text, got {value!r}")
    if key in ("task", "time", "id", "text", "level", "group"):
        types: tuple[type, ...] = (str,)
        words = "text"
    elif key.endswith("_share"):
        types, words = (float,), "a number between 0 and 1"
    else:
        types, words = (int,), "a whole number"
    if not isinstance(value, types) or isinstance(value, bool):
        raise ValueError(f"`{key}` must be {words}, got {value!r}")
    return value
