"""DeCoP's parameters as signals: numbers, booleans and strings, written as Scheme does."""

from __future__ import annotations

from typing import Any

from devices.signals import QuerySignal

__all__ = ["DecopNumber", "DecopSwitch", "DecopText", "parse_switch", "parse_text"]


def parse_switch(text: str) -> int:
    """Read `#t` or `#f` as 1 or 0."""
    return {"#t": 1, "#f": 0}[text]


def parse_text(text: str) -> str:
    """Read a string in its quotes."""
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        msg = f"{text!r} is no string"
        raise ValueError(msg)
    return text[1:-1]


class DecopNumber(QuerySignal):
    """A number by its parameter's name."""

    def __init__(self, *, parameter: str, settable: bool = False, **kwargs: Any) -> None:
        command = f"(param-set! '{parameter} {{}})" if settable else None
        super().__init__(query=f"(param-ref '{parameter})", command=command, **kwargs)


class DecopSwitch(DecopNumber):
    """A boolean, as 1 or 0."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(parse=parse_switch, initial=0, limits=(0, 1), verify=0.0, **kwargs)

    def spell(self, value: Any) -> str:
        """Return the command that sets it."""
        return super().spell("#t" if value else "#f")


class DecopText(DecopNumber):
    """A string, read-only."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(parse=parse_text, initial="", **kwargs)
