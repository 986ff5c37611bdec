"""Write a starter lab file."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["write_new_lab"]


def write_new_lab(path: Path) -> None:
    """Write a commented lab file; raises `BadRequestError` rather than overwrite one."""
    text = (resources.files("qlab.lab") / "data" / "bell.yaml").read_text(encoding="utf-8")
    name = "".join(c if c.isalnum() or c in "-_" else "-" for c in path.stem) or "lab"
    text = text.replace("name: bell", f"name: {name}", 1)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        msg = f"{path} exists already; choose another name"
        raise BadRequestError(msg) from error
    except OSError as error:
        msg = f"{path} cannot be written: {error.strerror}"
        raise BadRequestError(msg) from error
