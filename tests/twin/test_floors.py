"""The sans-I/O half of the kit knows no wire."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import pytest

PURE = ["conversation", "framing", "scpi", "scpi_common", "scpi_status", "scpi_syntax", "scpi_table", "scpi_tree"]
PURE += ["scpi_values", "lines", "bench"]
WIRES = {"socket", "asyncio", "threading", "zmq", "os", "pty", "select", "serial", "pyvisa", "time", "random"}


@pytest.mark.parametrize("module", PURE)
def test_a_module_without_io_imports_none(module: str) -> None:
    spec = importlib.util.find_spec(f"qlab.twin.{module}")
    assert spec is not None
    assert spec.origin is not None
    imported: set[str] = set()
    for node in ast.walk(ast.parse(Path(spec.origin).read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module or "")
    assert not {name.partition(".")[0] for name in imported} & WIRES
    assert not {name for name in imported if name.startswith(("qlab.twin.mount", "qlab.twin.host", "qlab.lab"))}
