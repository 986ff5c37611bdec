"""Settings that each channel of a generator has for itself; what is outside its limits is clipped, with an error."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Generic, TypeVar

from qlab.twin.scpi_status import ScpiError
from qlab.twin.scpi_table import Parameter
from qlab.twin.scpi_values import parse_limited, parse_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qlab.twin.scpi import ScpiTwin

__all__ = ["FORMAT", "Bank", "PerChannel", "clipped", "per_channel", "written"]

T = TypeVar("T", bool, int, float, str)
FORMAT = "+.15E"
INFINITE = "+9.900000000000000E+37"
BAD_SUFFIX = -114


def written(value: float) -> str:
    """Write a number; infinity as SCPI has it."""
    return INFINITE if math.isinf(value) else f"{value:{FORMAT}}"


def clipped(value: float, low: float, high: float) -> ScpiError:
    """Return what is queued where a value was clipped [INF] the wording."""
    return ScpiError(-222, f"Data out of range; value clipped to {'upper' if value > high else 'lower'} limit")


class Bank(Generic[T]):
    """The setting of all channels, by channel number from 1."""

    def __init__(self, twin: ScpiTwin, name: str, default: T) -> None:
        self._twin = twin
        self._name = name
        self._default: T = default

    def __getitem__(self, channel: int) -> T:
        """Return the setting of a channel."""
        value = self._twin.values.get(f"{self._name}.{channel}", self._default)
        return type(self._default)(value)

    def __setitem__(self, channel: int, value: T) -> None:
        """Change the setting of a channel from inside the twin."""
        self._twin.values[f"{self._name}.{channel}"] = value


class PerChannel(Parameter[T]):
    """A setting whose header captures the channel's number; read and written by `twin.setting[channel]`.

    The twin has `channels`, how many there are, and `follow(channel, name)`, which is called after each set.
    """

    def __get__(self, twin: ScpiTwin | None, owner: type) -> Bank[T]:  # type: ignore[override]
        """Return the settings of all channels."""
        return Bank(twin, self.name, self.default) if twin is not None else self  # type: ignore[return-value]

    def __set__(self, twin: ScpiTwin, value: T) -> None:
        """Refuse: one channel is set at a time."""
        raise AttributeError(self.name)

    def _set(self, twin: ScpiTwin, numbers: tuple[int, ...], arguments: list[str]) -> None:
        if len(arguments) != 1:
            raise ScpiError(-108 if arguments else -109)
        key = self._key(twin, numbers)
        error: ScpiError | None = None
        try:
            value = self._read(twin, key, arguments[0])
        except ScpiError as refused:
            low, high = self._range(twin, key)
            if refused.code != -222 or math.isnan(said := parse_number(arguments[0], self.units)):
                raise
            value, error = type(self.default)(min(max(said, low), high)), clipped(said, low, high)
        twin.values[key] = value
        twin.follow(numbers[0], self.name)  # type: ignore[attr-defined]
        if error is not None:
            raise error

    def _query(self, twin: ScpiTwin, numbers: tuple[int, ...], arguments: list[str]) -> str:
        if len(arguments) > 1:
            raise ScpiError(-108)
        key = self._key(twin, numbers)
        value = self._read(twin, key, arguments[0]) if arguments else twin.values.get(key, self.default)
        if isinstance(value, bool | str):
            return str(value) if isinstance(value, str) else str(int(value))
        return written(value)

    def _key(self, twin: ScpiTwin, numbers: tuple[int, ...]) -> str:
        if not 1 <= numbers[0] <= twin.channels:  # type: ignore[attr-defined]
            raise ScpiError(BAD_SUFFIX)
        return f"{self.name}.{numbers[0]}"

    def _range(self, twin: ScpiTwin, key: str) -> tuple[float, float]:
        return twin.limits_of(key) or self.limits or (-math.inf, math.inf)

    def _read(self, twin: ScpiTwin, key: str, text: str) -> bool | float | str:
        if isinstance(self.default, bool | str):
            return self._parse(twin, text)
        return float(parse_limited(text, *self._range(twin, key), float(self.default), self.units))


def per_channel(
    pattern: str, default: T, *, limits: tuple[float, float] | None = None, choices: Sequence[str] = (), units: str = ""
) -> PerChannel[T]:
    """Declare a setting of each channel; its pattern has one `#`.  Other parameters are those of `parameter`."""
    return PerChannel(pattern, default, limits, choices, FORMAT, units, None, stored=False)
