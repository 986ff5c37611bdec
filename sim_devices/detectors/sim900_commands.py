"""The SIM900 mainframe's commands, as protocol sheet 07 lists them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from sim_devices.detectors.sim900_arguments import (
    EXTRA,
    MISSING,
    NO_QUERY,
    NONE_ALLOWED,
    QUERY_ONLY,
    QUEUE,
    UNDEFINED,
    MainframeError,
    integer,
    parse_string,
    token,
)
from sim_devices.detectors.sim900_line import LINE
from sim_devices.detectors.sim900_ports import LONGEST_MESSAGE, Ports

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.clock import Clock
    from sim_devices.detectors.sim900_status import Registers, TimeBase

__all__ = ["Commands"]

Method: TypeAlias = "Callable[[list[bytes]], str | bytes | None]"
SWITCH = ("OFF", "ON")
VOLTS, AMPERES, WATTS = "15.0", "0.5", "7.5"  # [INF] of the rail


class Commands:
    """What the mainframe does when it is told to."""

    def __init__(self, serial: str, clock: Clock, registers: Registers, ports: Ports, base: TimeBase) -> None:
        self._serial = serial
        self._clock = clock
        self._registers, self._ports, self._base = registers, ports, base
        self._commands = self._mainframe() | self._bytes()

    def carry_out(self, word: str, arguments: list[bytes]) -> str | bytes | None:
        """Return what a command answers; raises `MainframeError` where it is not carried out."""
        if word not in self._commands:
            other = word[:-1] if word.endswith("?") else f"{word}?"
            if other not in self._commands:
                raise MainframeError(UNDEFINED)
            raise MainframeError(NO_QUERY if word.endswith("?") else QUERY_ONLY)
        least, most, method = self._commands[word]
        if len(arguments) < least:
            raise MainframeError(MISSING)
        if len(arguments) > most:
            raise MainframeError(EXTRA if most else NONE_ALLOWED)
        return method(arguments)

    def _mainframe(self) -> dict[str, tuple[int, int, Method]]:
        """Return each command with the least and the most of its arguments."""
        p, r = self._ports, self._registers
        return {
            "*IDN?": (0, 0, lambda _: f"Stanford Research Systems,SIM900,s/n{self._serial},ver3.4"),
            "*RST": (0, 0, lambda _: p.reset()),
            "*CLS": (0, 0, lambda _: self._clear()),
            "*ESR?": (0, 1, r.take_events),
            "*ESE": (1, 2, partial(r.enable, "ese")),
            "*ESE?": (0, 0, lambda _: str(r.ese)),
            "*SRE": (1, 2, partial(r.enable, "sre")),
            "*SRE?": (0, 0, lambda _: str(r.sre)),
            "*PSC": (1, 1, self._set_psc),
            "*PSC?": (0, 0, lambda _: str(r.psc)),
            "*STB?": (0, 0, lambda _: str(r.status_byte(data_waits=p.waits()))),
            "*OPC": (0, 0, lambda _: self._complete()),
            "*OPC?": (0, 0, lambda _: "1"),
            "*WAI": (0, 0, lambda _: None),
            "*TST?": (0, 0, lambda _: "0"),
            "LEXE?": (0, 0, lambda _: r.take("lexe")),
            "LCME?": (0, 0, lambda _: r.take("lcme")),
            "TOKN": (1, 1, self._set_words),
            "TOKN?": (0, 0, lambda _: p.say(int(p.words), SWITCH)),
            "ECHO?": (1, 1, lambda a: parse_string(a[0]).decode("latin-1")),
            "TICK?": (0, 0, lambda _: str(self._base.tick())),
            "PLLC": (1, 1, lambda a: self._base.follow(on=bool(token(a[0], SWITCH)))),
            "PLLC?": (0, 0, lambda _: p.say(int(self._base.follows), SWITCH)),
            "TBIN?": (0, 0, lambda _: str(int(self._base.input_present()))),
            "LOCK?": (0, 0, lambda _: str(self._base.state())),
            "VMON?": (0, 0, lambda _: VOLTS),
            "IMON?": (0, 0, lambda _: AMPERES),
            "PMON?": (0, 0, lambda _: WATTS),
        }

    def _bytes(self) -> dict[str, tuple[int, int, Method]]:
        p, now = self._ports, self._clock.now_ps
        table: dict[str, tuple[int, int, Method]] = {
            "CTCR?": (0, 1, p.present),
            "SNDT": (2, 2, lambda a: p.send(a, terminate=True)),
            "SEND": (2, 2, lambda a: p.send(a, terminate=False)),
            "BRDT": (1, 1, lambda a: p.broadcast(a, terminate=True)),
            "BRDC": (1, 1, lambda a: p.broadcast(a, terminate=False)),
            "BRER": (1, 1, self._set_listeners),
            "BRER?": (0, 0, lambda _: str(p.listeners)),
            "CONN": (2, 2, p.connect),
            "GETN?": (2, 2, p.get),
            "RAWN?": (2, 2, p.raw),
            "NINP?": (1, 1, lambda a: str(len(p.remote(a[0]).waiting(now())))),
            "AINP?": (1, 1, lambda a: str(QUEUE - len(p.remote(a[0]).waiting(now())))),
            "NOUT?": (1, 1, lambda a: str(p.remote(a[0]).unsent(now()))),
            "AOUT?": (1, 1, lambda a: str(max(QUEUE - p.remote(a[0]).unsent(now()), 0))),
            "DONE?": (0, 1, p.done),
            "RPER": (1, 2, p.set_pass),
            "RPER?": (0, 1, p.passes),
            "MSGL": (1, 1, self._set_length),
            "MSGL?": (0, 0, lambda _: str(p.length)),
            "TERM": (2, 2, p.set_end),
            "TERM?": (1, 1, p.end),
            "FLSH": (0, 0, self._flush_all),
            "FLSI": (0, 1, self._flush),
            "FLSO": (0, 1, self._flush_output),
            "FLOQ": (0, 0, lambda _: None),
            "SRST": (0, 1, self._break),
        }
        for what in LINE:
            table[what] = (2, 2, partial(p.set_line, what))
            table[f"{what}?"] = (1, 1, partial(p.line, what))
        return table

    def _flush(self, arguments: list[bytes]) -> None:
        for port in self._ports.some(arguments):
            port.flush_input()

    def _flush_output(self, arguments: list[bytes]) -> None:
        for port in self._ports.some(arguments):
            port.flush_output()

    def _flush_all(self, arguments: list[bytes]) -> None:
        self._flush(arguments)
        self._flush_output(arguments)

    def _break(self, arguments: list[bytes]) -> None:
        for port in self._ports.some(arguments):
            port.hear_break()

    def _clear(self) -> None:
        self._registers.esr = self._registers.lexe = self._registers.lcme = 0

    def _complete(self) -> None:
        self._registers.esr |= 1

    def _set_psc(self, arguments: list[bytes]) -> None:
        self._registers.psc = integer(arguments[0], 0, 1)

    def _set_words(self, arguments: list[bytes]) -> None:
        self._ports.words = bool(token(arguments[0], SWITCH))

    def _set_listeners(self, arguments: list[bytes]) -> None:
        self._ports.listeners = integer(arguments[0], 0, 2**14 - 1)

    def _set_length(self, arguments: list[bytes]) -> None:
        self._ports.length = integer(arguments[0], 1, LONGEST_MESSAGE)
