"""Turn pydantic's errors into complaints for a person: the place, what was found, what was expected, what is near."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Union, get_args, get_origin

from pydantic import BaseModel

from qlab.lab.optic_models import OPTIC_KINDS
from qlab.lab.quantities import unit_of_key
from qlab.lab.source import nearest

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

    from qlab.lab.source import Key, Source

__all__ = ["explain"]

_NAME_RULE = "expected a name of letters, digits, - and _ that begins with a letter"
_RULES = {
    r"^[^.]+\.[1-9][0-9]*$": "expected TAGGER.INPUT with inputs from 1, for example tagger.1",
    r"^[A-Za-z][A-Za-z0-9_-]*$": _NAME_RULE,
}


def explain(error: ValidationError, model: type[BaseModel], data: object, source: Source, at: Key = ()) -> list[str]:
    """Return one complaint for each mistake.

    Parameters
    ----------
    error:
        What validation of `data` as `model` raised.
    source, at:
        The lab file, and where in it `data` stands.
    """
    complaints = []
    members: dict[Key, list[str]] = {}
    for detail in error.errors():
        key = _place(detail, data)
        text = _text(detail, key, model, data)
        if _is_union(detail, key):
            members.setdefault(key, []).append(text)
        else:
            complaints.append(source.complain((*at, *key), text))
    for key, texts in members.items():
        found = texts[0].partition("; expected ")[0]
        parts = [text.partition("; expected ")[2].partition("; did you mean") for text in texts]
        expected = " or ".join(dict.fromkeys(part[0] for part in parts))
        hint = "".join("".join(part[1:]) for part in parts)
        complaints.append(source.complain((*at, *key), f"{found}; expected {expected}{hint}"))
    return list(dict.fromkeys(complaints))


def _place(detail: ErrorDetails, data: object) -> Key:
    """Return the key path of an error: pydantic's location without what it says of types."""
    key: list[str | int] = []
    value = data
    for n, part in enumerate(detail["loc"]):
        last = n + 1 == len(detail["loc"])
        inner = _inside(value, part)
        if inner is not None:
            value = inner
        elif not (last and detail["type"] == "missing"):
            continue
        key.append(part)
    return tuple(key)


def _inside(value: object, part: str | int) -> object | None:
    """Return what stands at a key or number; None where nothing does."""
    if isinstance(value, Mapping):
        return value.get(part)
    return value[part] if isinstance(value, list) and isinstance(part, int) and part < len(value) else None


def _is_union(detail: ErrorDetails, key: Key) -> bool:
    if not detail["loc"]:
        return False  # a whole section that cannot be
    last = str(detail["loc"][-1])
    return last != str(key[-1] if key else "") and last != "[key]" and not last.startswith("#")


def _text(detail: ErrorDetails, key: Key, model: type[BaseModel], data: object) -> str:
    kind, found, message = detail["type"], detail["input"], detail["msg"]
    if kind == "extra_forbidden":
        return f"unknown key; {nearest(str(key[-1]), _known(model, key[:-1], data))}"
    if kind == "missing":
        return "is missing"
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        known = re.findall(r"'([^']+)'", str(detail.get("ctx", {}).get("expected_tags", ""))) or list(OPTIC_KINDS)
        tag = detail.get("ctx", {}).get("tag")
        if tag is None:
            return f"'kind' is missing; expected one of {', '.join(known)}"
        hint = nearest(str(tag), known)
        return (
            f"found kind {tag!r}; expected one of {', '.join(known)}{'' if hint.startswith('known') else f'; {hint}'}"
        )
    if kind == "value_error" and isinstance(found, Mapping):
        return message.removeprefix("Value error, ")
    shown = repr(found) if not isinstance(found, (Mapping, list)) else _shape(found)
    if kind == "string_pattern_mismatch":
        pattern = str(detail.get("ctx", {}).get("pattern"))
        return f"found {shown}; {_RULES.get(pattern, f'expected a text like {pattern}')}"
    expected = re.sub(r"^Input should be (an? )?(valid )?", "", message)
    unit = unit_of_key(str(key[-1])) if key else None
    if kind in ("float_type", "float_parsing", "int_type", "int_parsing", "int_from_float"):
        whole = " whole" if kind.startswith("int") else ""
        expected = f"a{whole} number" + (f" in {unit}, or a text with a unit" if unit else "")
    elif kind.startswith(("greater_than", "less_than", "finite")):
        expected = f"a number {expected}" + (f" (in {unit})" if unit else "")
    elif kind.startswith(("dict_type", "model_type", "mapping_type")):
        expected = "a mapping of keys"
    elif kind == "string_type":
        expected = "a text" + ("; put it in quotes" if isinstance(found, (int, float)) else "")
    elif kind == "literal_error" and isinstance(found, str):
        hint = nearest(found, re.findall(r"'([^']+)'", expected))
        expected += f"; {hint}" if hint.startswith("did") else ""
    elif expected == message:
        return f"found {shown}; {message[:1].lower()}{message[1:]}"
    return f"found {shown}; expected {expected}"


def _shape(found: object) -> str:
    return "a mapping" if isinstance(found, Mapping) else "a list"


def _known(model: type[BaseModel], key: Key, data: object) -> list[str]:
    """Return the keys that the model at a place knows."""
    here: object = model
    value = data
    for part in key:
        if isinstance(here, type) and issubclass(here, BaseModel):
            here = next((f.annotation for n, f in here.model_fields.items() if (f.alias or n) == part), None)
        else:
            here = get_args(here)[-1] if get_args(here) else None
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int):
            value = value[part]
        here = _member(here, value)
    if isinstance(here, type) and issubclass(here, BaseModel):
        return [f.alias or n for n, f in here.model_fields.items()]
    return []


def _member(kind: object, value: object) -> object:
    """Return the member of a union that a value is meant to be."""
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) not in (Union, UnionType):
        return kind
    members = [_member(m, value) for m in get_args(kind)]
    models = [m for m in members if isinstance(m, type) and issubclass(m, BaseModel)]
    if isinstance(value, Mapping) and "kind" in value:
        for m in models:
            field = m.model_fields.get("kind")
            if field is not None and value["kind"] in get_args(field.annotation):
                return m
    if models:
        return models[0]
    return next((m for m in members if get_origin(m) in (dict, list)), None)
