"""The lab file's JSON schema, for editors that complete and check YAML."""

from __future__ import annotations

from typing import Any

from qlab.lab.models import LabFile

__all__ = ["lab_schema"]


def lab_schema() -> dict[str, Any]:
    """Return the schema of draft 2020-12."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **LabFile.model_json_schema(by_alias=True)}
