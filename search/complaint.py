"""What pydantic found wrong with a study, said in one sentence each."""

import re
from typing import Any

from pydantic import BaseModel, ValidationError

from spaces import did_you_mean

WIDTH = 60  # characters of a wrong value that are worth repeating

RULES = {
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "finite_number": "must be a finite number",
    "greater_than": "must be greater than {gt:g}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt:g}",
    "less_than_equal": "must be at most {le}",
    "model_type": "must be a table",
    "dict_type": "must be a table",
    "tuple_type": "must be a list",
    "value_error": "{error}",
}


class StudyError(ValueError):
    """What is wrong with a study: `sentences` has one entry, `str()` one line per fault."""

    def __init__(self, sentences: list[str]) -> None:
        super().__init__("\n".join(sentences))
        self.sentences = tuple(sentences)


def sentences(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """One sentence per fault: the key, what must hold, what came."""
    return [_sentence(dict(fault), model) for fault in error.errors(include_url=False)]


def shorten(value: object) -> str:
    """`value` as it is written in an error: Python's notation, cut at `WIDTH` characters."""
    text = repr(value)
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 3]}..."


def _sentence(fault: dict[str, Any], model: type[BaseModel]) -> str:
    path = [part for part in fault["loc"] if part != "[key]"]
    name = f"`{dotted(path)}`" if path else "a study"
    if fault["type"] == "extra_forbidden":
        keys = set(_model_at(model, path[:-1]).model_fields)
        return f"{name} is not a known key{did_you_mean(str(path[-1]), keys)}"
    if fault["type"] == "missing":
        meaning = _model_at(model, path[:-1]).model_fields[str(path[-1])].description or ""
        return f"{name} must be given: {meaning[:1].lower()}{meaning[1:].rstrip('.')}"
    rule = RULES.get(fault["type"], fault["msg"]).format(**fault.get("ctx", {}))
    if re.search(r"[,;] got ", rule):  # it says itself what came
        return f"{name} {rule}"
    return f"{name} {rule}, got {shorten(fault['input'])}"


def dotted(path: list[Any]) -> str:
    """`["space", "lstm", 0]` as `space.lstm.0`."""
    return ".".join(str(part) for part in path)


def _model_at(model: type[BaseModel], path: list[Any]) -> type[BaseModel]:
    """The model in which the last key of `path` is a field; tables nest without lists between."""
    for part in path:
        inner = model.model_fields[str(part)].annotation
        assert isinstance(inner, type)
        assert issubclass(inner, BaseModel)
        model = inner
    return model
