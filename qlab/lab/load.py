"""Read a lab file; every complaint names file, line and key, what was found and what was expected, all at once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from qlab.errors import BadRequestError, LabFileError
from qlab.lab.explain import explain
from qlab.lab.models import LabFile
from qlab.lab.quantities import convert_quantity, unit_of_key
from qlab.lab.source import Source, nearest, parse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qlab.lab.source import Data, Key

__all__ = ["Loaded", "find_lab", "load_lab", "shipped_labs"]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A lab file that makes sense by itself.

    Attributes
    ----------
    lab, source, path:
        What it says, where it says it, and the file.
    sha256:
        Of the file and the overrides.
    overrides:
        As they were given.
    """

    lab: LabFile
    source: Source
    path: Path
    sha256: str
    overrides: tuple[str, ...] = ()


def shipped_labs() -> dict[str, Path]:
    """Return the labs that come with qlab, by name."""
    folder = Path(str(resources.files("qlab.lab"))) / "data"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find_lab(name: str) -> Path:
    """Return the path of a lab file or of a shipped lab; raises `LabFileError` naming the shipped ones."""
    path = Path(name)
    shipped = shipped_labs()
    if name in shipped and not path.is_file():
        return shipped[name]
    if path.is_file():
        return path
    if path.is_dir():
        msg = f"{name} is a folder; expected a lab file or a shipped lab ({', '.join(shipped)})"
    elif path.suffix in (".yaml", ".yml"):
        msg = f"{name}: there is no such lab file; `qlab new {name}` writes one"
    else:
        msg = f"{name!r} is neither a file nor a shipped lab ({', '.join(shipped)}); {nearest(name, shipped)}"
    raise LabFileError(msg)


def load_lab(name: str, overrides: Sequence[str] = ()) -> Loaded:
    """Read and check a lab file by itself; classes, addresses and paths are checked when it is opened.

    Parameters
    ----------
    name:
        A file, or the bare name of a shipped lab.
    overrides:
        `key.path=value` texts, the value in YAML; `null` removes a key.

    Raises
    ------
    LabFileError
        With every complaint, one a line.
    BadRequestError
        For an override that is no `key.path=value`.
    """
    path = find_lab(name)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path}: cannot be read: {error}"
        raise LabFileError(msg) from error
    data, source = parse(text, str(path))
    for override in overrides:
        source.override(data, override)
    complaints: list[str] = []
    _tidy(data, (), source, complaints)
    _resolve_files(data, source, path)
    try:
        lab = LabFile.model_validate(data)
    except ValidationError as error:
        known = tuple(complaint.partition("found ")[0] for complaint in complaints)
        complaints += [c for c in explain(error, LabFile, data, source) if not known or not c.startswith(known)]
    if complaints:
        raise LabFileError("\n".join(dict.fromkeys(complaints)))
    digest = hashlib.sha256(("\n".join([text, *overrides])).encode()).hexdigest()
    return Loaded(lab, source, path, digest, tuple(overrides))


def _tidy(data: Data, key: Key, source: Source, complaints: list[str]) -> None:
    """Convert texts with units, in place, and drop empty keys: `optics:` with nothing behind it is no optics.

    What the instruments' classes read (`settings`, `twin`) keeps its nulls, and labels are left alone.
    """
    if isinstance(data, list):
        for i, value in enumerate(data):
            _tidy(value, (*key, i), source, complaints)
    if not isinstance(data, dict):
        return
    foreign = len(key) >= 3 and key[0] == "instruments" and key[2] in ("settings", "twin")
    for word, value in list(data.items()):
        here = (*key, word)
        if value is None and not foreign:
            del data[word]
        elif isinstance(value, bool) and unit_of_key(str(word)) is not None:
            complaints.append(source.complain(here, f"found {value}; expected a number in {unit_of_key(str(word))}"))
            del data[word]
        elif isinstance(value, str):
            try:
                number = convert_quantity(str(word), value)
            except BadRequestError as error:
                complaints.append(source.complain(here, f"found {value!r}; {error}"))
                continue
            if number is not None:
                data[word] = number
        elif not (len(here) == 3 and key[0] == "instruments" and word == "labels"):
            _tidy(value, here, source, complaints)


def _resolve_files(data: dict[str, Data], source: Source, path: Path) -> None:
    """Make paths in the file relative to the file; those of overrides are relative to where one is."""
    world = data.get("world")
    replay = world.get("replay") if isinstance(world, dict) else None
    if not isinstance(replay, dict) or not isinstance(replay.get("file"), str):
        return
    key = ("world", "replay", "file")
    if not any(key[:n] in source.overrides for n in (1, 2, 3)):
        replay["file"] = str(path.parent / str(replay["file"]))
