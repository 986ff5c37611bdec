"""Signals that are declared by what goes over the wire.

wavelength_nm = Cpt(WireSignal, query="SENS:CORR:WAV?", command="SENS:CORR:WAV {:g}", units="nm", limits=(400, 1100),
kind="config")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ophyd import Signal

from qlab.errors import BadReplyError, BadRequestError, LimitError

if TYPE_CHECKING:
    from collections.abc import Callable

    from devices.worker import WorkerStatus

__all__ = ["WireSignal", "parse_bool", "parse_float", "parse_int"]


def parse_float(text: str) -> float:
    """Read the number that a reply begins with; a unit may follow."""
    return float(text.split()[0])


def parse_int(text: str) -> int:
    """Read an integer that may be written as a float."""
    return round(float(text.split()[0]))


def parse_bool(text: str) -> int:
    """Read 0, 1, ON or OFF as an integer."""
    word = text.strip().upper()
    return {"ON": 1, "OFF": 0}[word] if word in ("ON", "OFF") else int(bool(round(float(word))))


class WireSignal(Signal):
    """A value behind a query, a command or both.

    Parameters
    ----------
    query:
        What asks for it; a signal without one is remembered from its last set.
    command:
        What sets it, with one format field; a signal without one is read-only.
    units:
        For the documents.
    limits:
        Inclusive; checked before anything is sent.
    parse:
        From the reply's text to the value.
    delay_s, settle_s:
        Lab seconds between query and reply, and after a set.
    initial:
        The value before the first fetch; its type is the documents' data type.
    """

    def __init__(
        self,
        *,
        query: str | None = None,
        command: str | None = None,
        units: str = "",
        limits: tuple[float, float] | None = None,
        parse: Callable[[str], Any] = parse_float,
        delay_s: float = 0.0,
        settle_s: float = 0.0,
        initial: Any = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(value=initial, **kwargs)
        self.query = query
        self.command = command
        self.units = units
        self._limits = limits
        self._parse = parse
        self._delay_s = delay_s
        self._settle_s = settle_s

    @property
    def limits(self) -> tuple[float, float] | None:
        """The inclusive limits of a settable signal."""
        return self._limits if self.command is not None else None

    def fetch(self) -> Any:
        """Ask the instrument; blocks for the wire."""
        if self.query is None:
            return self.get()
        text = self.parent.ask(self.query, delay_s=self._delay_s)
        try:
            value = self._parse(text)
        except (ValueError, IndexError, KeyError) as error:
            self.parent.link.distrust()
            what = f"the reply is not a value of {self.attr_name}"
            raise BadReplyError(what, device=self.parent.name, command=self.query, found=text) from error
        self.remember(value)
        return value

    def store(self, value: Any) -> None:
        """Set the instrument and wait until it has settled; blocks for the wire."""
        self.check_value(value)
        if self.command is None:
            msg = f"{self.name} is read-only"
            raise BadRequestError(msg)
        self.parent.tell(self.command.format(value))
        if self._settle_s:
            self.parent.clock.sleep(self._settle_s)
        if self.query is not None:
            self.fetch()
        else:
            self.remember(value)

    def check_value(self, value: Any) -> None:
        """Raise `LimitError` for a value outside the limits."""
        limits = self.limits
        if limits is not None and not limits[0] <= value <= limits[1]:
            msg = (
                f"{self.name} = {value!r} {self.units}: outside its limits {limits[0]:g} to {limits[1]:g} {self.units}"
            )
            raise LimitError(msg)

    def set(self, value: Any, **_: Any) -> WorkerStatus:
        """Set in a thread; limits are checked before."""
        self.check_value(value)
        status: WorkerStatus = self.parent.in_thread(f"set {self.attr_name}", lambda: self.store(value))
        return status

    def put(self, value: Any, **_: Any) -> None:
        """Set and wait."""
        self.store(value)

    def remember(self, value: Any) -> None:
        """Take a value that came by another way."""
        super().put(value, timestamp=self.parent.clock.now_s(), force=True)

    def describe(self) -> dict[str, Any]:
        """Describe for the documents, with units and limits."""
        description: dict[str, Any] = super().describe()
        key = description[self.name]
        if self.units:
            key["units"] = self.units
        if self.limits is not None:
            key["lower_ctrl_limit"], key["upper_ctrl_limit"] = self.limits
        key["source"] = f"{self.parent.link.address} {self.query or self.command}"
        return description
