r"""The TL1 port of a Polatis switch: `VERB:"<name>":<args>:<ctag>:...;`, answered by a header, a status and data lines."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from qlab.twin.conversation import Dialogue
from qlab.twin.framing import LineFramer
from sim_devices.routing.polatis_matrix import PortError

if TYPE_CHECKING:
    from qlab.clock import Clock
    from qlab.twin.conversation import Script
    from sim_devices.routing.polatis_matrix import Matrix
    from sim_devices.routing.polatis_oxc import Parameters

__all__ = ["Tl1Port"]

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""Where the lab's time begins on the switch's calendar."""
WAVELENGTH_NM = 1550.0
COMPLETED, DENIED = "COMPLD", "DENY"
"""[V1] How a reply says that a command was carried out, or not."""
BLANK = "( nil )"
"""[V1] What stands for the name of a switch that has none."""


class Tl1Port:
    """The port; any client may log in, and nobody else is served."""

    def __init__(self, matrix: Matrix, clock: Clock, parameters: Parameters) -> None:
        self._matrix = matrix
        self._clock = clock
        self._parameters = parameters

    def connect(self) -> Dialogue:
        """Begin a conversation with one client."""
        return Dialogue(Tl1Session(self), LineFramer(b";", ignored=b"\r\n"), self._clock)

    def reset_power(self) -> None:
        """Nothing is kept here."""

    def peek(self) -> dict[str, object]:
        """Return the connections."""
        return {"connections": self._matrix.pairs}

    def reply(self, ctag: str, status: str, lines: list[str]) -> bytes:
        """Word a reply block."""
        stamp = EPOCH + timedelta(seconds=self._clock.now_ps() * 1e-12)
        head = f"\r\n   {self._parameters.tl1_name or BLANK} {stamp:%y-%m-%d %H:%M:%S}\r\nM  {ctag} {status}\r\n"
        return (head + "".join(f'   "{each}"\r\n' for each in lines) + ";").encode("latin-1")

    def login(self, user: str, password: str) -> bool:
        """Tell whether this is who may log in."""
        return (user, password) == (self._parameters.tl1_user, self._parameters.tl1_password)

    def carry_out(self, verb: str, what: str, more: str) -> list[str]:
        """Carry out a command; raises `PortError` for what the switch refuses."""
        m = self._matrix
        if verb == "RTRV-EQPT" and "SIZE" in more:
            return [f"SYSTEM:SIZE={m.inputs}x{m.outputs}"]
        if verb == "RTRV-NETYPE":
            return [f"Polatis,N-VST-{m.inputs}x{m.outputs},OCS,{self._parameters.firmware}"]
        if verb == "RTRV-INV":
            return [f"OCS:SN={self._parameters.serial}"]
        if verb == "RTRV-PATCH":
            return [f"{a},{b}" for a, b in m.pairs]
        if verb == "ENT-PATCH":
            a, b = _ports(what.replace(",", "&"), exactly=2)
            m.join([a], [b])
        elif verb == "DLT-PATCH":
            m.part(_ports(what))
        elif verb == "RTRV-PORT-SHUTTER":
            return [f"{port}:{'CLOSED' if port in m.disabled else 'OPEN'}" for port in self._known(what)]
        elif verb == "RTRV-PORT-POWER" and self._parameters.power_monitors:
            return [f"{port}:{m.power_dbm(port):.2f}" for port in self._known(what)]
        elif verb == "RTRV-PORT-PMON" and self._parameters.power_monitors:
            return [f"{port}:{WAVELENGTH_NM:.1f},{m.power_dbm(port):.2f}" for port in self._known(what)]
        elif verb != "RTRV-HDR":
            msg = f"no command {verb}"
            raise PortError(msg)
        return []

    def _known(self, what: str) -> list[int]:
        found = _ports(what)
        self._matrix.check(found)
        return found


class Tl1Session:
    """One client."""

    def __init__(self, port: Tl1Port) -> None:
        self._port = port
        self._known = False

    def answer(self, message: bytes) -> Script:
        """Carry out one command."""
        fields = message.decode("latin-1").strip().split(":")
        verb, ctag = fields[0].upper(), fields[3].strip() if len(fields) > 3 else "0"
        what, more = fields[2] if len(fields) > 2 else "", ":".join(fields[4:]).upper()
        lines: list[str] = []
        try:
            if verb == "ACT-USER":
                self._known = self._port.login(what, fields[5] if len(fields) > 5 else "")
            elif self._known:
                lines = self._port.carry_out(verb, what, more)
            status = COMPLETED if self._known else DENIED
        except PortError as error:
            lines, status = [str(error)], DENIED
        yield self._port.reply(ctag, status, lines)

    def refuse(self, message: bytes, kind: str, text: str) -> bytes:
        """Deny one command."""
        del kind
        fields = message.decode("latin-1").split(":")
        return self._port.reply(fields[3] if len(fields) > 3 else "0", DENIED, [text] if text else [])


def _ports(text: str, exactly: int | None = None) -> list[int]:
    """Read `a&b`, a list, and `a&&b`, a range."""
    found: list[int] = []
    for part in re.split(r"(?<!&)&(?!&)", text.strip()):
        first, _, last = part.partition("&&")
        if not re.fullmatch(r"\d{1,6}", first, re.ASCII) or not re.fullmatch(r"\d{0,6}", last, re.ASCII):
            msg = f"no list of ports: {text}"
            raise PortError(msg)
        found += range(int(first), min(int(last or first), int(first) + 1000) + 1)
    if exactly is not None and len(found) != exactly:
        msg = f"{exactly} ports are needed"
        raise PortError(msg)
    return found
