"""How a plan publishes results: as events of a stream of their own in the same run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import bluesky.plan_stubs as bps
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

__all__ = ["Results", "publish"]


class Results:
    """A soft bluesky `Readable` that holds one set of results at a time.

    bluesky wants the same object behind all events of a stream: who publishes more than once keeps it.

    Parameters
    ----------
    name:
        Prefix of the data keys.
    units:
        For some of them.
    """

    parent = None

    def __init__(self, name: str, units: Mapping[str, str] | None = None) -> None:
        self.name = name
        self._values: dict[str, Any] = {}
        self._units = dict(units or {})
        self._timestamp = 0.0

    def put(self, values: Mapping[str, Any], timestamp: float) -> None:
        """Hold these: numbers, texts, or arrays; a result NAME has its standard uncertainty in NAME_sigma."""
        self._values = dict(values)
        self._timestamp = timestamp

    def read(self) -> dict[str, dict[str, Any]]:
        """Return the results."""
        return {f"{self.name}_{key}": {"value": v, "timestamp": self._timestamp} for key, v in self._values.items()}

    def describe(self) -> dict[str, dict[str, Any]]:
        """Describe them."""
        result = {}
        for key, value in self._values.items():
            array = np.asarray(value)
            kind = "array" if array.ndim else "string" if array.dtype.kind == "U" else "number"
            description = {"source": "analysis", "dtype": kind, "shape": list(array.shape)}
            if kind == "array":
                description["dtype_numpy"] = array.dtype.str
                description["dims"] = [f"{self.name}_{key}_{axis}" for axis in range(array.ndim)]
            if key in self._units:
                description["units"] = self._units[key]
            result[f"{self.name}_{key}"] = description
        return result

    def read_configuration(self) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def describe_configuration(self) -> dict[str, Any]:
        """Describe nothing."""
        return {}


def publish(
    stream: str,
    results: Results | str,
    values: Mapping[str, Any],
    timestamp: float,
    units: Mapping[str, str] | None = None,
) -> Generator[Any, Any, None]:
    """Emit one event of results into a stream of the open run; a name is enough where it is the only one."""
    holder = Results(results, units) if isinstance(results, str) else results
    holder.put(values, timestamp)
    yield from bps.create(name=stream)
    yield from bps.read(holder)
    yield from bps.save()
