"""Read a lab file; every complaint names file, line and key, what was found and what was expected, all at once."""

from __future__ import annotations

import difflib
import hashlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import BaseModel, ValidationError

from qlab.errors import BadRequestError, LabFileError
from qlab.lab.models import LabFile

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Loaded", "Source", "find_lab", "load_lab"]

Key = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """A lab file's text with the line of each key.

    Parameters
    ----------
    name:
        How the file is called in messages.
    lines:
        For each key path the line it stands on, from 1.
    """

    name: str
    lines: dict[Key, int]

    def complain(self, key: Key, text: str) -> str:
        """Return a message that begins with file, line and key."""
        probe = key
        while probe and probe not in self.lines:
            probe = probe[:-1]
        line = self.lines.get(probe, 1)
        path = ".".join(str(part) for part in key)
        return f"{self.name}:{line}: {path}: {text}" if path else f"{self.name}:{line}: {text}"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A lab file that makes sense by itself."""

    lab: LabFile
    source: Source
    path: Path
    sha256: str


def find_lab(name: str) -> Path:
    """Return the path of a lab file or of a shipped lab; raises `LabFileError` naming the shipped ones."""
    path = Path(name)
    if path.suffix in (".yaml", ".yml") or path.exists():
        if not path.is_file():
            msg = f"{name}: there is no such lab file"
            raise LabFileError(msg)
        return path
    folder = Path(str(resources.files("qlab.lab"))) / "data"
    shipped = sorted(file.stem for file in folder.glob("*.yaml"))
    if name not in shipped:
        near = difflib.get_close_matches(name, shipped, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        msg = f"{name!r} is neither a file nor a shipped lab ({', '.join(shipped)}){hint}"
        raise LabFileError(msg)
    return folder / f"{name}.yaml"


def load_lab(name: str, overrides: Sequence[str] = ()) -> Loaded:
    """Read and check a lab file.

    Parameters
    ----------
    name:
        A file, or the bare name of a shipped lab.
    overrides:
        `key.path=value` texts, the value in YAML.

    Raises
    ------
    LabFileError
        With every complaint, one a line.
    """
    path = find_lab(name)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path}: cannot be read: {error}"
        raise LabFileError(msg) from error
    data, source = _parse(text, str(path))
    for override in overrides:
        _override(data, override)
    try:
        lab = LabFile.model_validate(data)
    except ValidationError as error:
        complaints = [_explain(source, detail) for detail in error.errors()]
        raise LabFileError("\n".join(dict.fromkeys(complaints))) from error
    digest = hashlib.sha256(("\n".join([text, *overrides])).encode()).hexdigest()
    return Loaded(lab, source, path, digest)


def _parse(text: str, name: str) -> tuple[dict[str, Any], Source]:
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        msg = f"{name}:{line}: this is not YAML: {error.problem or error}"
        if "\\t" in str(error):
            msg += "; indent with blanks, not with tabs"
        raise LabFileError(msg) from error
    if not isinstance(root, yaml.MappingNode):
        msg = f"{name}:1: expected a mapping of keys such as 'name:' and 'instruments:'"
        raise LabFileError(msg)
    lines: dict[Key, int] = {}
    twice: list[str] = []
    _walk(root, (), lines, twice, name)
    if twice:
        raise LabFileError("\n".join(twice))
    data: dict[str, Any] = yaml.safe_load(text)
    return data, Source(name, lines)


def _walk(node: yaml.Node, key: Key, lines: dict[Key, int], twice: list[str], name: str) -> None:
    lines.setdefault(key, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for child, value in node.value:
            word, line = str(child.value), child.start_mark.line + 1
            if word in seen:
                twice.append(f"{name}:{line}: {'.'.join(map(str, (*key, word)))}: stands here and on line {seen[word]}")
            seen[word] = line
            lines[(*key, word)] = line
            _walk(value, (*key, word), lines, twice, name)
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            _walk(value, (*key, i), lines, twice, name)


def _override(data: dict[str, Any], override: str) -> None:
    path, equals, text = override.partition("=")
    if not equals or not path:
        msg = f"--set {override!r}: expected KEY=VALUE, for example seed=7 or instruments.pump.address=twin"
        raise BadRequestError(msg)
    *parents, leaf = path.split(".")
    target: Any = data
    for parent in parents:
        if not isinstance(target, dict):
            msg = f"--set {override!r}: {parent!r} is not inside a mapping"
            raise BadRequestError(msg)
        target = target.setdefault(parent, {})
    if not isinstance(target, dict):
        msg = f"--set {override!r}: {leaf!r} is not inside a mapping"
        raise BadRequestError(msg)
    target[leaf] = yaml.safe_load(text)


def _explain(source: Source, detail: Any) -> str:
    tags = {"pair_source", "tap", "fibre", "attenuator", "wave_plate", "pbs", "beam_splitter"}
    key: Key = tuple(part for part in detail["loc"] if part not in tags or detail["loc"][0] != "optics")
    found = detail["input"]
    if detail["type"] == "extra_forbidden":
        known = _fields(key[:-1])
        near = difflib.get_close_matches(str(key[-1]), known, 1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(known)}" if known else ""
        return source.complain(key, f"unknown key{hint}")
    if detail["type"] == "missing":
        return source.complain(key, "is missing")
    shown = repr(found) if not isinstance(found, (dict, list)) else type(found).__name__
    return source.complain(key, f"found {shown}; {detail['msg'][0].lower()}{detail['msg'][1:]}")


def _fields(key: Key) -> list[str]:
    """Return the keys that a place of the lab file knows."""
    from qlab.lab import models

    if not key:
        return list(LabFile.model_fields)
    places: dict[str, type[BaseModel]] = {
        "instruments": models.InstrumentModel,
        "paths": models.PathModel,
        "cables": models.CableModel,
        "analysers": models.AnalyserModel,
        "nodes": models.NodeModel,
        "clock": models.ClockModel,
        "world": models.WorldModel,
    }
    place = places.get(str(key[0]))
    return [f.alias or n for n, f in place.model_fields.items()] if place is not None else []
