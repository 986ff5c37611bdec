"""Command table of the ID900's coincidence blocks, and of its pattern generators and record window.

Written from protocol sheet 10.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim_devices.taggers.id900_blocks import TSCO_COUNT
from sim_devices.taggers.id900_grammar import Node, choice, number, switch, time_ps
from sim_devices.taggers.id900_inputs import counter_rows, on_off
from sim_devices.taggers.id900_players import FOREVER

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.clock import Clock
    from sim_devices.taggers.id900_blocks import TscoBlock, WindowEdge
    from sim_devices.taggers.id900_inputs import Counter
    from sim_devices.taggers.id900_players import Player
    from sim_devices.taggers.id900_signals import Signals

__all__ = ["player_rows", "tsco_rows"]

COMBINATIONS = ("AND", "OR", "ONLYFIR", "ONLYSEC", "MUTE")


def tsco_rows(signals: Signals, counters: dict[str, Counter], clock: Clock) -> list[Node]:
    """Return the rows of the coincidence blocks."""
    numbers = range(1, TSCO_COUNT + 1)

    def block(n: int) -> TscoBlock:
        return signals.tscos[f"TSCO{n}"]

    def how(text: str) -> str:
        return choice(text, COMBINATIONS)

    def edge(text: str) -> str:
        return choice(text, ("RISING", "FALLING"))

    def row(
        pattern: str, target: Callable[[int], TscoBlock | WindowEdge], attribute: str, read: Callable[[str], object]
    ) -> Node:
        unit = "TB" if attribute.endswith("_ps") else ""

        def show(n: int) -> str:
            value = getattr(target(n), attribute)
            return on_off(value) if isinstance(value, bool) else f"{value}{unit}"

        def store(n: int, text: str) -> str:
            setattr(target(n), attribute, read(text))
            return show(n)

        return Node(pattern, show, store, numbers)

    rows = [
        row("TSCO#:FIRst:LINK", block, "first", signals.link),
        row("TSCO#:SECond:LINK", block, "second", signals.link),
        row("TSCO#:OPIN", block, "inside", how),
        row("TSCO#:OPOUt", block, "outside", how),
        row("TSCO#:WINDow:ENABle", block, "window", switch),
    ]
    borders: list[tuple[str, Callable[[int], WindowEdge]]] = [
        ("TSCO#:WINDow:BEGIn", lambda n: block(n).begin),
        ("TSCO#:WINDow:END", lambda n: block(n).end),
    ]
    for head, border in borders:
        rows += [
            row(f"{head}:LINK", border, "link", signals.link),
            row(f"{head}:DELAy", border, "delay_ps", time_ps),
            row(f"{head}:EDGE", border, "edge", edge),
        ]
    return rows + counter_rows("TSCO#", numbers, lambda n: f"TSCO{n}", signals, counters, clock)


def player_rows(signals: Signals, clock: Clock) -> list[Node]:
    """Return the rows of the record window and the generators."""
    return [
        *_player_rows("RECord", range(1, 2), lambda _: "REC", signals, clock),
        *_player_rows("GENerator#", range(1, 9), lambda n: f"GEN{n}", signals, clock),
    ]


def _player_rows(head: str, numbers: range, name: Callable[[int], str], signals: Signals, clock: Clock) -> list[Node]:
    def player(n: int) -> Player:
        return signals.players[name(n)]

    def enable(n: int, value: str) -> str:
        player(n).enabled = switch(value)
        if not player(n).enabled:
            player(n).stop(clock.now_ps())
        return on_off(player(n).enabled)

    def number_of(n: int) -> str:
        return "INF" if player(n).count == FOREVER else str(player(n).count)

    def repeat(n: int, value: str) -> str:
        endless = value.strip().upper().startswith("INF")
        player(n).count = FOREVER if endless else round(number(value, 1, FOREVER - 1))
        return number_of(n)

    def width(n: int, value: str) -> str:
        player(n).width_ps = time_ps(value)
        return f"{player(n).width_ps}TB"

    def period(n: int, value: str) -> str:
        player(n).period_ps = time_ps(value)
        return f"{player(n).period_ps}TB"

    def mode(n: int, value: str) -> str:
        player(n).arm_mode = choice(value, ("MANUAL", "AUTO"))
        return player(n).arm_mode

    def link(n: int, value: str) -> str:
        player(n).trigger_link = signals.link(value)
        return player(n).trigger_link

    def delay(n: int, value: str) -> str:
        player(n).trigger_delay_ps = time_ps(value)
        return f"{player(n).trigger_delay_ps}TB"

    def play(n: int, _: str) -> str:
        player(n).play(clock.now_ps())
        return "PLAY"

    def stop(n: int, _: str) -> str:
        player(n).stop(clock.now_ps())
        return "STOP"

    return [
        Node(f"{head}:ENABle", lambda n: on_off(player(n).enabled), enable, numbers),
        Node(f"{head}:NUMber", number_of, repeat, numbers),
        Node(f"{head}:PNUMber", number_of, repeat, numbers),
        Node(f"{head}:DURation", lambda n: f"{player(n).width_ps}TB", width, numbers),
        Node(f"{head}:PWIDth", lambda n: f"{player(n).width_ps}TB", width, numbers),
        Node(f"{head}:PPERiod", lambda n: f"{player(n).period_ps}TB", period, numbers),
        Node(f"{head}:TRIGger:ARM:MODE", lambda n: player(n).arm_mode, mode, numbers),
        Node(f"{head}:TRIGger:LINK", lambda n: player(n).trigger_link, link, numbers),
        Node(f"{head}:TRIGger:DELAy", lambda n: f"{player(n).trigger_delay_ps}TB", delay, numbers),
        Node(f"{head}:PLAY", None, play, numbers),
        Node(f"{head}:STOP", None, stop, numbers),
        Node(f"{head}:STAGe", lambda n: player(n).stage(clock.now_ps()), None, numbers),
    ]
