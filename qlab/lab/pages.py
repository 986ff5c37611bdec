"""The pages of `docs/instruments/`: one an instrument, made from its classes, its command table and its marks.

    python -m qlab.lab.pages docs/instruments

Marks stand in comments and descriptions beside the constants that they belong to: [V2] seen in two independent sources, [V1]
in one, [INF] inferred, to be corrected in that one place by who owns the instrument.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qlab.errors import TwinError
from qlab.lab.build import open_lab
from qlab.lab.classes import find_device_class, known_devices, parameters_of
from qlab.twin.scpi_table import entries_of

if TYPE_CHECKING:
    from types import ModuleType

    from pydantic import BaseModel

__all__ = ["index", "page", "write_pages"]

MARK = re.compile(r"\[(INF|V1)\]")
NAME = re.compile(r"^\s*(?:self\.)?([A-Za-z_][\w.]*(?:, [A-Za-z_][\w.]*)*)\s*(?::[^=]+)?=")
FUNCTION = re.compile(r"^\s*(?:def|class) (\w+)")


def write_pages(folder: Path) -> list[Path]:
    """Write a page for each of our device classes, and an index; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    names = sorted(name for name in known_devices() if name.startswith("devices."))
    files = []
    for name in names:
        path = folder / f"{name.rpartition('.')[2].lower()}.md"
        path.write_text(page(name), encoding="utf-8")
        files.append(path)
    (folder / "README.md").write_text(index(names), encoding="utf-8")
    return [*files, folder / "README.md"]


def index(names: list[str]) -> str:
    """Return the page that lists all instruments by what they do."""
    lines = [
        "# Instruments",
        "",
        "Made by `make pages` from the classes; each has a twin that speaks the same bytes.",
        "",
    ]
    by_role: dict[str, list[str]] = {}
    for name in names:
        by_role.setdefault(name.split(".")[1], []).append(name)
    for role, members in by_role.items():
        lines += [f"## {role.capitalize()}", ""]
        for name in members:
            short = name.rpartition(".")[2]
            lines.append(f"- [{short}]({short.lower()}.md): {_summary(import_module(name.rpartition('.')[0]))}")
        lines.append("")
    return "\n".join(lines)


def page(name: str) -> str:
    """Return the page of a device class."""
    cls: Any = find_device_class(name)
    module = import_module(name.rpartition(".")[0])
    shared = 'address: "twin:bus", unit: "0"' if getattr(cls, "multidrop", False) else "address: twin"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "one.yaml"
        path.write_text(f"qlab: 1\nname: one\ninstruments:\n  it: {{class: {name}, {shared}}}\n")
        with open_lab(str(path), data_dir=Path(folder), connect=False) as lab:
            return _page(name, cls, module, lab.devices["it"], lab.twins["it"])


def _page(name: str, cls: Any, module: ModuleType, device: Any, twin: Any) -> str:
    short = name.rpartition(".")[2]
    text = inspect.getdoc(module) or ""
    lines = [f"# {short}", "", text, ""]
    lines += ["| | |", "|---|---|"]
    lines += [f"| class | `{name}` |", f"| twin | `{cls.twin}` |", f"| wire | {cls.wire} |"]
    lines += [f"| identity | `{_cell(cls.identity)}` |", ""]
    real = [f'  # or: "{address}"' for address in getattr(cls, "usual_addresses", ())]
    lines += ["## In a lab file", "", "```yaml", "name:", f"  class: {name}", "  address: twin", *real, "```", ""]
    lines += _fields("`settings:`", cls.Settings)
    parameters = parameters_of(type(twin))
    if parameters is not None:
        lines += _fields("`twin:` (properties of the simulated one)", parameters)
    lines += _signals(device)
    lines += _faults(twin)
    lines += _commands(twin)
    lines += _marks([*_rooms(module), *_rooms(import_module(cls.twin.rpartition(".")[0]))])
    return "\n".join(lines).rstrip() + "\n"


def _summary(module: ModuleType) -> str:
    return (inspect.getdoc(module) or "").split("\n")[0].rstrip(".")


def _cell(text: object) -> str:
    return str(text).replace("|", "\\|").replace("\n", " ")


def _fields(title: str, model: type[BaseModel]) -> list[str]:
    rows = [
        f"| `{key}` | `{_cell(_type(field.annotation))}` | `{_cell(field.get_default(call_default_factory=True))}` | "
        f"{_cell(field.description or '')} |"
        for key, field in model.model_fields.items()
    ]
    return [f"## {title}", "", "| key | type | default | |", "|---|---|---|---|", *rows, ""] if rows else []


def _type(annotation: object) -> str:
    text = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    return re.sub(r"\b(typing|pathlib|annotated_types|pydantic\.\w+)\.", "", text).replace("NoneType", "None")


def _signals(device: Any) -> list[str]:
    rows = []
    for walk in device.walk_signals():
        signal = walk.item
        if walk.dotted_name.startswith("health."):
            continue
        limits = getattr(signal, "limits", None)
        wire = getattr(signal, "command", None) or getattr(signal, "query", None) or ""
        span = f"{limits[0]:g} to {limits[1]:g}" if limits is not None else ""
        units = getattr(signal, "units", "")
        rows.append(f"| `{walk.dotted_name}` | {units} | {span} | {signal.kind.name} | `{_cell(wire)}` |")
    return ["## Signals", "", "| name | units | limits | kind | on the wire |", "|---|---|---|---|---|", *rows, ""]


def _faults(twin: Any) -> list[str]:
    fault = getattr(twin, "device_fault", None)
    if fault is None:
        return []
    try:
        fault("?")
    except TwinError as error:
        known = str(error).partition("expected ")[2].removeprefix("one of ")
        return ["## Faults of the twin", "", f"`qlab twin fault PORT NAME FAULT`, with one of: {known}.", ""]
    return []


def _commands(twin: Any) -> list[str]:
    found: list[str] = []
    for base in type(twin).__mro__:
        if not base.__module__.startswith("sim_devices"):
            continue
        found += [entry.header.pattern for entry in entries_of(base)]
        found += [pattern for value in vars(base).values() for pattern in getattr(value, "line_patterns", ())]
    if not found:
        return []
    return ["## What the twin understands", "", *(f"- `{_cell(each)}`" for each in sorted(dict.fromkeys(found))), ""]


def _rooms(module: ModuleType) -> list[ModuleType]:
    """Return a module and what it imports, at any depth, of the instruments of its own role: one instrument's rooms."""
    role = module.__name__.rpartition(".")[0] + "."
    found: dict[str, ModuleType] = {}
    waiting = [module]
    while waiting:
        room = waiting.pop(0)
        if room.__name__ in found:
            continue
        found[room.__name__] = room
        for node in ast.walk(ast.parse(inspect.getsource(room))):
            if isinstance(node, ast.ImportFrom) and node.module is not None and node.module.startswith(role):
                waiting.append(import_module(node.module))
    return list(found.values())


def _marks(modules: list[ModuleType]) -> list[str]:
    """List the constants whose comments say that they are inferred or seen in one source only."""
    rows = []
    for module in modules:
        source = inspect.getsource(module).split("\n")
        for i, line in enumerate(source):
            mark = MARK.search(line)
            if mark is None:
                continue
            what, about = _named(source, i), line[mark.end() :].strip().rstrip('")').rstrip(",").strip('". ').strip()
            rows.append(f"| {mark[1]} | {what} | {_cell(about)} | `{module.__name__}` |")
    if not rows:
        return []
    head = [
        "## What is inferred (INF) or seen in one source (V1)",
        "",
        "| mark | name | | where |",
        "|---|---|---|---|",
    ]
    return [*head, *rows, ""]


def _named(source: list[str], i: int) -> str:
    """Return what a mark in a line stands beside: the name set there or begun above, or the function around it."""
    for line in source[i::-1]:
        if (named := NAME.match(line)) is not None:
            return f"`{named[1]}`"
        if (around := FUNCTION.match(line)) is not None:
            return f"`{around[1]}`"
    return ""


if __name__ == "__main__":
    for written in write_pages(Path(sys.argv[1])):
        sys.stdout.write(f"{written}\n")
