"""The JSON Schema of the study file."""

import json
from typing import Any

from search.study import Study


def schema_text() -> str:
    """The schema as JSON: a study has a `benchmark`, or `data` in its place."""
    schema: dict[str, Any] = Study.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["required"] = [name for name in schema["required"] if name != "benchmark"]
    schema["properties"]["data"] = {
        "type": "object",
        "required": ["data", "task"],
        "description": "Your own files, in place of a benchmark.",
    }
    schema["oneOf"] = [{"required": [name]} for name in ("benchmark", "data")]
    return json.dumps(schema, indent=2) + "\n"
