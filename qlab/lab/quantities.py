"""Quantities with a unit: a key ends with the unit that a plain number is in; a text such as "12 mA" is converted to it.

    current_a: 0.08      current_a: 80 mA      delay_ps: 5 ns      temperature_c: 313.15 K

Conversion is exact (fractions), so that 5 ns are the integer 5000 ps.
"""

from __future__ import annotations

import difflib
import re
from fractions import Fraction

from qlab.errors import BadRequestError

__all__ = ["convert_quantity", "unit_of_key"]

# Each dimension: the units a person may write, as multiples of the first one's base.  Upper and lower case differ.
_TIME = {"fs": "1e-15", "ps": "1e-12", "ns": "1e-9", "us": "1e-6", "ms": "1e-3", "s": "1", "min": "60", "h": "3600"}
_FREQUENCY = {"mHz": "1e-3", "Hz": "1", "kHz": "1e3", "MHz": "1e6", "GHz": "1e9", "THz": "1e12", "1/s": "1"}
_POWER = {"fW": "1e-15", "pW": "1e-12", "nW": "1e-9", "uW": "1e-6", "mW": "1e-3", "W": "1"}
_LENGTH = {"pm": "1e-12", "nm": "1e-9", "um": "1e-6", "mm": "1e-3", "cm": "1e-2", "m": "1", "km": "1e3"}
_CURRENT = {"nA": "1e-9", "uA": "1e-6", "mA": "1e-3", "A": "1"}
_VOLTAGE = {"uV": "1e-6", "mV": "1e-3", "V": "1", "kV": "1e3"}
_DEGREE = "0.017453292519943295"  # pi/180
_ANGLE = {"mrad": "1e-3", "rad": "1", "deg": _DEGREE}
_TEMPERATURE = {"degC": "1", "C": "1", "K": "1"}
_DIFFERENCE = {"mK": "1e-3", "K": "1"}
_DIMENSIONS = (_TIME, _FREQUENCY, _POWER, _LENGTH, _CURRENT, _VOLTAGE, _ANGLE, _TEMPERATURE, {"dB": "1"}, {"dBm": "1"})
_KELVIN = Fraction("273.15")
_SAME = str.maketrans({"µ": "u", "μ": "u", "Ω": "Ohm"})

# Words at the end of a key, and the unit they stand for.
_SUFFIXES = {
    **{u: u for u in ("fs", "ps", "ns", "us", "ms", "s", "nm", "um", "mm", "m", "km", "deg", "rad", "mrad")},
    **{u.lower(): u for u in ("Hz", "kHz", "MHz", "GHz", "nW", "uW", "W", "mA", "A", "V", "mV", "dB", "dBm")},
    "mw": "mW",
    "c": "degC",
    "k": "K",
}
# Compound units that the general rule NUMERATOR_per_DENOMINATOR does not cover.
_COMPOUND = {
    "ps_nm_km": ("ps/(nm km)", "ps/nm/km", "ps/(nm*km)"),
    "rad_per_sqrt_s": ("rad/sqrt(s)", "rad/s^0.5"),
}
_QUANTITY = re.compile(r"\s*([-+]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(\S.*?)?\s*")


def unit_of_key(key: str) -> str | None:
    """Return the unit that a key's plain numbers are in, None for a key without a unit.

    >>> unit_of_key("current_a"), unit_of_key("brightness_hz_per_mw"), unit_of_key("mount")
    ('A', 'Hz/mW', None)
    """
    words = key.lower().split("_")
    for ending, spellings in _COMPOUND.items():
        if key.endswith(f"_{ending}"):
            return spellings[0]
    if len(words) > 3 and words[-2] == "per" and words[-3] in _SUFFIXES and words[-1] in _SUFFIXES:
        return f"{_SUFFIXES[words[-3]]}/{_SUFFIXES[words[-1]]}"
    if len(words) > 1 and "per" not in words[-2:]:
        return _SUFFIXES.get(words[-1])
    return None


def convert_quantity(key: str, text: str) -> int | float | None:
    """Return a text's value in the unit of the key: an int where it is whole, None where it does not begin with a number.

    Raises
    ------
    BadRequestError
        The text has a unit that the key cannot take; says which ones it can.
    """
    unit = unit_of_key(key)
    found = _QUANTITY.fullmatch(text)
    if unit is None or found is None:
        return None
    value, written = Fraction(found[1].replace("_", "")), (found[2] or unit).translate(_SAME)
    if unit in ("degC", "K"):
        value = _temperature(value, unit, written)
    else:
        value *= _factor(unit, written)
    return int(value) if value.denominator == 1 else float(value)


def _factor(unit: str, written: str) -> Fraction:
    for spellings in _COMPOUND.values():
        if unit == spellings[0]:
            if written in spellings:
                return Fraction(1)
            raise BadRequestError(_unknown(written, list(spellings)))
    if "/" in unit:
        (above, below), parts = unit.split("/"), written.replace(" per ", "/").split("/")
        if len(parts) != 2:
            raise BadRequestError(_unknown(written, [unit]))
        return _factor(above, parts[0].strip()) / _factor(below, parts[1].strip())
    table = next(d for d in _DIMENSIONS if unit in d)
    word = "deg" if written == "\N{DEGREE SIGN}" else written
    if word not in table:
        raise BadRequestError(_unknown(written, list(table)))
    return Fraction(table[word]) / Fraction(table[unit])


def _temperature(value: Fraction, unit: str, written: str) -> Fraction:
    word = {"°C": "degC", "C": "degC"}.get(written, written)
    if unit == "K":
        if word not in _DIFFERENCE:
            raise BadRequestError(_unknown(written, list(_DIFFERENCE)))
        return value * Fraction(_DIFFERENCE[word])
    if word not in _TEMPERATURE:
        raise BadRequestError(_unknown(written, list(_TEMPERATURE)))
    return value - _KELVIN if word == "K" else value


def _unknown(written: str, known: list[str]) -> str:
    lowered = {k.lower(): k for k in known}
    near = difflib.get_close_matches(written.lower(), list(lowered), 1)
    hint = f"; did you mean {lowered[near[0]]!r}?" if near else ""
    return f"unknown unit {written!r}; accepted: {', '.join(known)}{hint}"
