"""Command table of the ID900's connectors: inputs, START, their counters and delays.  Written from protocol sheet 10."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from qlab.clock import PS_PER_S
from sim_devices.taggers.id900_grammar import TIME_UNITS_PS, VOLT_UNITS, Node, choice, number, switch

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.clock import Clock
    from sim_devices.taggers.id900_blocks import InputBlock
    from sim_devices.taggers.id900_signals import Signals

__all__ = ["Counter", "connector_rows", "counter_rows", "delay_rows", "on_off"]

DAC_STEP_V: Final = 1.024e-3  # [V2] 0.5 V reads 0.499712 V, 1 V reads 0.999424 V: it rounds down
MOST_V: Final = 2.0  # [INF]
LONGEST_DELAY_PS: Final = PS_PER_S  # [V2] 4 us are guaranteed
INTEGRATION_UNIT_PS: Final = PS_PER_S // 1000  # the doubt of the sheet: ms in three drivers, ns in newer vendor scripts
RESET_REPLY: Final = "Counter value set to 0 "  # [V2] with the trailing blank
CLEARED_REPLY: Final = "Cleared Highres errors"  # [V2]
SELECTIONS: Final = ("UNSHAPED", "SHAPED", "LOOP", "OUTPUT")


def on_off(state: object) -> str:
    """Write a switch."""
    return "ON" if state else "OFF"


class Counter:
    """A counter of one link: counts of the last whole period (CYCLE), or since the reset (ACCUM)."""

    def __init__(self, now_ps: int) -> None:
        self.mode = "CYCLE"
        self.period_ms = 1000
        self.since_ps = now_ps

    def interval(self, now_ps: int) -> tuple[int, int]:
        """Return what is counted when it is read now."""
        if self.mode == "ACCUM":
            return self.since_ps, now_ps
        period = self.period_ms * INTEGRATION_UNIT_PS
        stop = self.since_ps + (now_ps - self.since_ps) // period * period
        return max(stop - period, self.since_ps), stop


def connector_rows(signals: Signals, counters: dict[str, Counter], clock: Clock) -> list[Node]:
    """Return the rows of the inputs and of START."""
    inputs, start = range(1, 5), range(1, 2)

    def clear(n: int, _: str) -> str:
        signals.hires_errors.pop(f"INPU{n}", None)
        return CLEARED_REPLY

    return [
        *_common_rows("INPUt#", inputs, lambda n: f"INPU{n}", signals, clock),
        *_common_rows("STARt", start, lambda _: "STAR", signals, clock),
        _word_row("INPUt#:RESYncpolicy", inputs, lambda n: signals.inputs[f"INPU{n}"], "resync", ("AUTO", "MANUAL")),
        Node("INPUt#:HIREs:ERROr", lambda n: str(signals.hires_errors.get(f"INPU{n}", 0)), None, inputs),
        Node("INPUt#:HIREs:ERROr:CLEAr", None, clear, inputs),
        Node("INPUt#:STATe", lambda n: _state(f"INPU{n}", signals, counters), None, inputs),
        Node("STARt:STATe", lambda _: _state("STAR", signals, counters)),
        *counter_rows("INPUt#", inputs, lambda n: f"INPU{n}", signals, counters, clock),
        *counter_rows("STARt", start, lambda _: "STAR", signals, counters, clock),
    ]


def _common_rows(head: str, numbers: range, link: Callable[[int], str], signals: Signals, clock: Clock) -> list[Node]:
    def block(n: int) -> InputBlock:
        return signals.inputs[link(n)]

    def enable(n: int, value: str) -> str:
        block(n).enabled = switch(value)
        signals.refresh_gates(clock.now_ps())
        return on_off(block(n).enabled)

    def threshold(n: int, value: str) -> str:
        volts = number(value, -MOST_V, MOST_V, VOLT_UNITS)
        block(n).threshold_v = math.trunc(volts / DAC_STEP_V * (1.0 + 1e-12)) * DAC_STEP_V
        signals.refresh_gates(clock.now_ps())
        return f"{block(n).threshold_v:.6f}V"

    def delay(n: int, value: str) -> str:
        block(n).delay_ps = round(number(value, 0, LONGEST_DELAY_PS, TIME_UNITS_PS))
        return f"{block(n).delay_ps}TB"

    return [
        Node(f"{head}:ENABle", lambda n: on_off(block(n).enabled), enable, numbers),
        _word_row(f"{head}:COUPling", numbers, block, "coupling", ("AC", "DC")),
        _word_row(f"{head}:EDGE", numbers, block, "edge", ("RISING", "FALLING")),
        Node(f"{head}:THREshold", lambda n: f"{block(n).threshold_v:.6f}V", threshold, numbers),
        _word_row(f"{head}:SELEct", numbers, block, "select", SELECTIONS),
        Node(f"{head}:DELAy", lambda n: f"{block(n).delay_ps}TB", delay, numbers),
    ]


def _word_row(
    pattern: str, numbers: range, block: Callable[[int], InputBlock], attribute: str, words: tuple[str, ...]
) -> Node:
    def read(n: int) -> str:
        return str(getattr(block(n), attribute))

    def store(n: int, value: str) -> str:
        setattr(block(n), attribute, choice(value, words))
        return read(n)

    return Node(pattern, read, store, numbers)


def counter_rows(
    head: str, numbers: range, link: Callable[[int], str], signals: Signals, counters: dict[str, Counter], clock: Clock
) -> list[Node]:
    """Return the rows of the counters behind `head`."""

    def counter(n: int) -> Counter:
        return counters[link(n)]

    def count(n: int) -> str:
        return str(signals.events(link(n), *counter(n).interval(clock.now_ps())).size)

    def mode(n: int, value: str) -> str:
        counter(n).mode = choice(value, ("ACCUM", "CYCLE"))
        return counter(n).mode

    def integration(n: int, value: str) -> str:
        counter(n).period_ms = round(number(value, 1, 65535))
        counter(n).since_ps = clock.now_ps()
        return str(counter(n).period_ms)

    def reset(n: int, _: str) -> str:
        counter(n).since_ps = clock.now_ps()
        return RESET_REPLY

    return [
        Node(f"{head}:COUNter", count, None, numbers),
        Node(f"{head}:COUNter:MODE", lambda n: counter(n).mode, mode, numbers),
        Node(f"{head}:COUNter:INTEgrationtime", lambda n: str(counter(n).period_ms), integration, numbers),
        Node(f"{head}:COUNter:RESEt", None, reset, numbers),
    ]


def _state(link: str, signals: Signals, counters: dict[str, Counter]) -> str:
    """Write `STATe?` as the slices of a working driver need it [V1]."""
    block, counter = signals.inputs[link], counters[link]
    last = f"DELA {block.delay_ps}TB" if link == "STAR" else f"RESY {block.resync}"
    name = "START" if link == "STAR" else link
    return (
        f"ENAB {on_off(block.enabled)};COUP {block.coupling};EDGE {block.edge};"
        f"THRE {block.threshold_v:.6f}V;SELE {block.select};{last};"
        f":{name}:COUNTER:INTEGRATIONTIME {counter.period_ms};MODE {counter.mode}"
    )


def delay_rows(signals: Signals) -> list[Node]:
    """Return the rows of the delay lines."""
    numbers = range(1, 9)

    def value(n: int, text: str) -> str:
        signals.delays[f"DELA{n}"].value_ps = round(number(text, 0, LONGEST_DELAY_PS, TIME_UNITS_PS))
        return f"{signals.delays[f'DELA{n}'].value_ps}TB"

    def link(n: int, text: str) -> str:
        signals.delays[f"DELA{n}"].link = signals.link(text)
        return signals.delays[f"DELA{n}"].link

    def state(n: int) -> str:
        block = signals.delays[f"DELA{n}"]
        return f":DELA{n}:VALU {block.value_ps}TB;INPO:LINK {block.link};"

    return [
        Node("DELAy#:VALUe", lambda n: f"{signals.delays[f'DELA{n}'].value_ps}TB", value, numbers),
        Node("DELAy#:[INPOrt:]LINK", lambda n: signals.delays[f"DELA{n}"].link, link, numbers),
        Node("DELAy#:STATe", state, None, numbers),
    ]
