"""One input of the ID900: discriminator, delay, counter."""

from __future__ import annotations

import re
from typing import Any

from ophyd import Component as Cpt

from devices.part import Part
from devices.signals import QuerySignal, parse_bool

__all__ = ["ID900Input"]

MS_PER_COUNTER_UNIT = 1.0
"""The sheet's doubt: the integration time is in milliseconds in three drivers, in nanoseconds (1e-6) in newer scripts."""
THRESHOLD_STEP_V = 1.024e-3
THRESHOLD_LIMIT_V = 2.0
"""[INF] The range is not in the sheet."""


def _number(text: str) -> float:
    return float(re.sub(r"[A-Za-z]+$", "", text.strip().split()[-1]))


def _integer(text: str) -> int:
    return round(_number(text))


def _counter_ms(text: str) -> float:
    return _number(text) * MS_PER_COUNTER_UNIT


def _last_word(text: str) -> str:
    return text.strip().split()[-1]


def _switch(text: str) -> int:
    return parse_bool(_last_word(text))


class _IntegrationTime(QuerySignal):
    def store(self, value: Any) -> None:
        super().store(round(value / MS_PER_COUNTER_UNIT))


class _Switch(QuerySignal):
    def store(self, value: Any) -> None:
        self.check_value(value)
        self.parent.tell("ENAB ON" if value else "ENAB OFF")
        self.wanted = int(bool(value))
        self.fetch()


class ID900Input(Part):
    """An input; its commands go through the controller, with `INPUn:` before them."""

    enable = Cpt(_Switch, query="ENAB?", command="ENAB {}", parse=_switch, initial=0, limits=(0, 1), kind="config")
    threshold_v = Cpt(
        QuerySignal,
        query="THRE?",
        command="THRE {:g}V",
        parse=_number,
        units="V",
        precision=4,
        limits=(-THRESHOLD_LIMIT_V, THRESHOLD_LIMIT_V),
        verify=THRESHOLD_STEP_V,
        kind="config",
    )
    edge = Cpt(QuerySignal, query="EDGE?", command="EDGE {}", parse=_last_word, initial="RISING", kind="config")
    coupling = Cpt(QuerySignal, query="COUP?", command="COUP {}", parse=_last_word, initial="DC", kind="config")
    delay_ps = Cpt(
        QuerySignal,
        query="DELA?",
        command="DELA {:d}",
        parse=_integer,
        initial=0,
        units="ps",
        limits=(0, 10**12),
        kind="config",
    )
    integration_ms = Cpt(
        _IntegrationTime,
        query="COUN:INTE?",
        command="COUN:INTE {:d}",
        parse=_counter_ms,
        units="ms",
        limits=(1, 65535),
        kind="config",
    )
    counter = Cpt(QuerySignal, query="COUN?", parse=_integer, initial=0, kind="omitted")
    hires_error = Cpt(QuerySignal, query="HIRE:ERRO?", parse=_integer, initial=0, kind="omitted")

    def __init__(self, prefix: str = "", *, number: int, **kwargs: Any) -> None:
        super().__init__(prefix, number=number, lead=f"INPU{number}:", **kwargs)

    def clear_error(self) -> None:
        """Clear the high-resolution error; blocks for the wire."""
        self.tell("HIRE:ERRO:CLEA")
