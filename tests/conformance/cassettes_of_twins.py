"""Record a cassette of every instrument from its twin: `make cassettes [CLASS ...]`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from qlab.lab.build import open_lab
from qlab.lab.exercise import record
from tests.conformance.conftest import CASSETTES, classes, lab_text


def main(wanted: list[str]) -> None:
    """Record the classes whose names are given, all without any."""
    for cls in classes():
        name = cls.rpartition(".")[2]
        if wanted and name not in wanted:
            continue
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "alone.yaml"
            path.write_text(lab_text(cls))
            with open_lab(str(path), data_dir=Path(folder), connect=False) as lab:
                result = record(lab, "it", CASSETTES / f"{name}.jsonl")
        sys.stdout.write(f"{name}: {result['identity']}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
