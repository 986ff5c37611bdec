"""Signals that are declared by what goes over the wire.

    wavelength_nm = Cpt(ScpiSignal, query="SENS:CORR:WAV?", command="SENS:CORR:WAV {:g}", units="nm",
                        limits=(400, 1100), kind="config")

`QuerySignal` asks and tells in text; `ScpiSignal` can also ask the instrument for its limits; `SoftSignal` is a number that
the driver keeps.  `set` works in a thread; `fetch` and `store` block for the wire; `get` and `read` return what was fetched.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from devices.lab_signal import LabSignal, SoftSignal
from qlab.errors import BadReplyError, BadRequestError, InstrumentError

if TYPE_CHECKING:
    from collections.abc import Callable

    from devices.worker import WorkerStatus

__all__ = ["QuerySignal", "ScpiSignal", "SoftSignal", "parse_bool", "parse_float", "parse_int"]


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


class QuerySignal(LabSignal):
    """A value behind a query, a command or both.

    Parameters
    ----------
    query:
        What asks for it; a signal without one is remembered from its last set.
    command:
        What sets it, with one format field; a signal without one is read-only.
    units, precision:
        For the documents; `precision` is the number of decimals.
    limits:
        Inclusive; checked before anything is sent.
    parse:
        From the reply's text to the value.
    delay_s, settle_s:
        Lab seconds between query and reply, and after a set.
    verify:
        How far the value read back may be from the value set, in its units; None: not compared.
    restore:
        Whether a reconnection sets the last value again.
    initial:
        The value before the first fetch; its type is the documents' data type.
    """

    def __init__(
        self,
        *,
        query: str | None = None,
        command: str | None = None,
        parse: Callable[[str], Any] = parse_float,
        delay_s: float = 0.0,
        settle_s: float = 0.0,
        verify: float | None = None,
        restore: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.query = query
        self.command = command
        self.restorable = restore and command is not None
        self.wanted: Any = None
        """The last value that was set; None if none was."""
        self._parse = parse
        self._delay_s = delay_s
        self._settle_s = settle_s
        self._verify = verify

    @property
    def limits(self) -> tuple[float, float] | None:
        """The inclusive limits of a settable signal."""
        return self._limits if self.command is not None else None

    def narrow(self, low: float, high: float) -> None:
        """Take the limits that the instrument has; those that were declared stay in force."""
        if self._limits is not None:
            low, high = max(low, self._limits[0]), min(high, self._limits[1])
        self._limits = (low, high)

    def fetch(self) -> Any:
        """Ask the instrument; blocks for the wire."""
        if self.query is None:
            return self.get()
        value = self._ask(self.query)
        self.remember(value)
        return value

    def store(self, value: Any) -> None:
        """Set the instrument, wait until it has settled, and read back; blocks for the wire."""
        self.check_value(value)
        if self.command is None:
            msg = f"{self.name} is read-only"
            raise BadRequestError(msg)
        command = self.spell(value)
        self.parent.tell(command)
        self.wanted = value
        if self._settle_s:
            self.parent.clock.sleep(self._settle_s)
        if self.query is None:
            self.remember(value)
            return
        found = self.fetch()
        if self._verify is not None and not math.isclose(found, value, rel_tol=0.0, abs_tol=self._verify):
            what = "the instrument did not take a value"
            expected = f"{value!r} {self.units} within {self._verify:g}"
            raise InstrumentError(what, device=self.parent.name, command=command, found=f"{found!r}", expected=expected)

    def spell(self, value: Any) -> str:
        """Return the command that sets a value."""
        return str(self.command).format(value)

    def set(self, value: Any, **_: Any) -> WorkerStatus:
        """Set in a thread; limits are checked before."""
        self.check_value(value)
        status: WorkerStatus = self.parent.in_thread(f"set {self.attr_name}", lambda: self.store(value))
        return status

    def put(self, value: Any, **_: Any) -> None:
        """Set and wait."""
        self.store(value)

    def describe(self) -> dict[str, Any]:
        """Describe for the documents; the source is the address and the command."""
        description = super().describe()
        description[self.name]["source"] = f"{self.parent.link.address} {self.query or self.command}"
        return description

    def _ask(self, query: str) -> Any:
        text = self.parent.ask(query, delay_s=self._delay_s)
        try:
            return self._parse(text)
        except (ValueError, IndexError, KeyError) as error:
            self.parent.link.distrust()
            what = f"the reply is not a value of {self.attr_name}"
            raise BadReplyError(what, device=self.parent.name, command=query, found=text) from error


class ScpiSignal(QuerySignal):
    """A parameter of a SCPI instrument.

    Parameters
    ----------
    ask_limits:
        Whether the instrument is asked at connection what it allows, `QUERY MIN` and `QUERY MAX`; the declared limits
        stay in force, so that an instrument can only narrow them.
    """

    def __init__(self, *, ask_limits: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._ask_limits = ask_limits

    def fetch_limits(self) -> None:
        """Narrow the limits to what the instrument says; blocks for the wire."""
        if self._ask_limits:
            self.narrow(self._ask(f"{self.query} MIN"), self._ask(f"{self.query} MAX"))
