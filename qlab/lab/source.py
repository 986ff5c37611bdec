"""A lab file's text: YAML that remembers the line of every key, and overrides that remember that they are none."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import yaml

from qlab.errors import BadRequestError, LabFileError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Data", "Key", "Source", "nearest", "parse"]

Key: TypeAlias = tuple[str | int, ...]
Data: TypeAlias = "dict[str, Data] | list[Data] | str | int | float | bool | None"

MOST_NODES = 100_000
"""More is no lab but aliases that multiply."""
_TEXT = "tag:yaml.org,2002:str"
_WHOLE = "tag:yaml.org,2002:int"
_MERGE = "tag:yaml.org,2002:merge"


@dataclass(slots=True)
class Source:
    """Where each key of a lab file stands.

    Parameters
    ----------
    name:
        How the file is called in messages.
    lines:
        For each key path, all parts as text, the line it stands on, from 1.
    overrides:
        For each key path that `--set` has set, the override's text.
    """

    name: str
    lines: dict[tuple[str, ...], int] = field(default_factory=dict)
    overrides: dict[tuple[str, ...], str] = field(default_factory=dict)

    def complain(self, key: Key, text: str) -> str:
        """Return a message that begins with file, line and key; or with the override that set the key."""
        probe = tuple(str(part) for part in key)
        path = ".".join(probe)
        line = 1
        while probe:
            if probe in self.overrides:
                return f"--set {self.overrides[probe]}: {path}: {text}"
            if probe in self.lines:
                line = self.lines[probe]
                break
            probe = probe[:-1]
        return f"{self.name}:{line}: {path}: {text}" if path else f"{self.name}:{line}: {text}"

    def override(self, data: dict[str, Data], text: str) -> None:
        """Set one key as `KEY.PATH=VALUE` says, the value in YAML; raises `BadRequestError` for what is no such text."""
        path, equals, value = text.partition("=")
        if not equals or not all(path.strip().split(".")):
            msg = f"--set {text!r}: expected KEY=VALUE, for example seed=7 or instruments.pump.address=twin"
            raise BadRequestError(msg)
        *parents, leaf = path.strip().split(".")
        target: Data = data
        for depth, part in enumerate([*parents, leaf]):
            if isinstance(target, list) and not (part.isdigit() and int(part) < len(target)):
                where = ".".join(parents[:depth])
                msg = (
                    f"--set {text!r}: {where} is a list of {len(target)}; expected a number from 0 instead of {part!r}"
                )
                raise BadRequestError(msg)
            if not isinstance(target, (dict, list)):
                where = ".".join(parents[:depth])
                msg = f"--set {text!r}: {where} is a single value and has no key {part!r}"
                raise BadRequestError(msg)
            if depth == len(parents):
                break
            if isinstance(target, list):
                target = target[int(part)]
            else:
                if target.get(part) is None:
                    target[part] = {}
                target = target[part]
        new = _value(text, value)
        if isinstance(target, list):
            target[int(leaf)] = new
        elif isinstance(target, dict):
            target[leaf] = new
        place = (*parents, leaf)
        self.overrides[place] = text
        for known in [known for known in self.lines if known[: len(place)] == place]:
            del self.lines[known]


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a hint: the known name that is nearest, or all of them if none is near."""
    names = list(known)
    lowered = {name.lower(): name for name in names}
    near = difflib.get_close_matches(word.lower(), list(lowered), 1)
    if near:
        return f"did you mean {lowered[near[0]]!r}?"
    return f"known are {', '.join(names)}" if names else "there are none"


def parse(text: str, name: str) -> tuple[dict[str, Data], Source]:
    """Read YAML.

    Raises
    ------
    LabFileError
        It is not YAML, not a mapping, or a key stands twice; names file and line.
    """
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        if not isinstance(root, yaml.MappingNode):
            msg = f"{name}:1: expected a mapping of keys such as 'name:' and 'instruments:'"
            raise LabFileError(msg)
        walk = _Walk(name)
        walk.visit(root, ())
        if walk.problems:
            raise LabFileError("\n".join(walk.problems))
        data = {key: _unshared(value) for key, value in loader.construct_document(root).items()}
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else 1
        why = "; indent with blanks, not with tabs" if "\\t" in str(error) else ""
        msg = f"{name}:{line}: this is not YAML: {error.problem or error}{why}"
        raise LabFileError(msg) from error
    except (
        yaml.YAMLError,
        ValueError,
        RecursionError,
    ) as error:  # ValueError: an impossible date; characters of no text
        msg = f"{name}:1: this is not YAML: {str(error).splitlines()[0]}"
        raise LabFileError(msg) from error
    return data, Source(name, walk.lines)


def _unshared(data: Data) -> Data:
    """Give every alias (*name) a copy of its own: to override a key of one thing changes nothing elsewhere."""
    if isinstance(data, dict):
        return {key: _unshared(value) for key, value in data.items()}
    return [_unshared(value) for value in data] if isinstance(data, list) else data


def _value(text: str, value: str) -> Data:
    try:
        new: Data = yaml.safe_load(value)
    except (yaml.YAMLError, ValueError) as error:
        msg = f"--set {text!r}: the value is not YAML; put it in quotes"
        raise BadRequestError(msg) from error
    return new


class _Walk:
    """Note lines, and complain of keys that stand twice or that YAML does not read as text."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: dict[tuple[str, ...], int] = {}
        self.problems: list[str] = []
        self._nodes = 0
        self._open: set[int] = set()

    def visit(self, node: yaml.Node, key: tuple[str, ...]) -> None:
        self._nodes += 1
        line = node.start_mark.line + 1
        if self._nodes > MOST_NODES or id(node) in self._open:
            msg = f"{self.name}:{line}: the aliases (*name) lead in circles, or to more than {MOST_NODES} keys"
            raise LabFileError(msg)
        self._open.add(id(node))
        self.lines.setdefault(key, line)
        if isinstance(node, yaml.MappingNode):
            self._mapping(node, key)
        elif isinstance(node, yaml.SequenceNode):
            for i, value in enumerate(node.value):
                self.visit(value, (*key, str(i)))
        self._open.discard(id(node))

    def _mapping(self, node: yaml.MappingNode, key: tuple[str, ...]) -> None:
        seen: dict[str, int] = {}
        for child, value in node.value:
            line = child.start_mark.line + 1
            if child.tag == _MERGE:
                continue
            word = str(child.value)
            here = f"{self.name}:{line}: {'.'.join((*key, word))}"
            if child.tag not in (_TEXT, _WHOLE):
                self.problems.append(f"{here}: YAML does not read this key as text; put it in quotes")
            if word in seen:
                self.problems.append(f"{here}: stands here and on line {seen[word]}")
            seen[word] = line
            self.lines[(*key, word)] = line
            self.visit(value, (*key, word))
