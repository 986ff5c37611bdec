"""What every SCPI instrument has: IEEE-488.2 common commands, the error queue and the status registers."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from qlab.clock import PS_PER_S
from qlab.twin.conversation import Later
from qlab.twin.scpi_status import OPC, PON, ErrorQueue, ScpiError, StatusGroup
from qlab.twin.scpi_table import Entry, Reply, command, query
from qlab.twin.scpi_tree import Header
from qlab.twin.scpi_values import integer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qlab.clock import Clock
    from qlab.twin.scpi import ScpiTwin

__all__ = ["CommonCommands", "status_entries"]

EAV, MAV, ESB, MSS = 0x04, 0x10, 0x20, 0x40
"""Bits of the status byte: error queue, reply waiting, event summary (IEEE 488.2, 11.2; SCPI-1999, 9), master summary."""


class CommonCommands:
    """Identity, reset, synchronisation, status; the base of `ScpiTwin`.

    Parameters
    ----------
    clock:
        The lab's clock.
    """

    identity: ClassVar[str] = "qlab,ScpiTwin,0,0"
    status_groups: ClassVar[Sequence[str]] = ("OPERation", "QUEStionable")
    summary_bits: ClassVar[Mapping[str, int]] = {"OPERation": 0x80, "QUEStionable": 0x08}
    """Where in the status byte a group is summarised."""
    error_queue_length: ClassVar[int] = 20
    no_error: ClassVar[str] = '+0,"No error"'
    """What `SYST:ERR?` says of an empty queue."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.errors = ErrorQueue(self.error_queue_length, self.no_error)
        self.status = {name: StatusGroup() for name in self.status_groups}
        self.esr = PON
        self.ese = self.sre = 0
        self.busy_until_ps = 0
        self.reply_waits = False
        """Whether the message that is being carried out has a reply already (MAV)."""
        self._completion_asked = False

    def identify(self) -> str:
        """Answer `*IDN?`."""
        return self.identity

    def refresh_status(self) -> None:
        """Bring the condition registers up to date with the world; called before a status register is read."""

    def reset_settings(self) -> None:
        """Carry out `*RST`."""

    def self_test(self) -> int:
        """Carry out `*TST?`; 0 is passed."""
        return 0

    def fail(self, error: ScpiError) -> None:
        """Queue an error and set its event bit."""
        self.errors.push(error)
        self.esr |= error.event_bit

    def begin_operation(self, seconds: float) -> None:
        """Start an overlapped operation; `*OPC`, `*OPC?` and `*WAI` wait for its end."""
        self.busy_until_ps = max(self.busy_until_ps, self.clock.now_ps() + round(seconds * PS_PER_S))

    def end_operations(self) -> None:
        """Forget operations that are under way."""
        self.busy_until_ps = 0
        self._completion_asked = False

    def power_on_status(self) -> None:
        """Clear registers, masks and queue, and set the power-on bit."""
        self.errors.clear()
        self.status = {name: StatusGroup() for name in self.status_groups}
        self.esr, self.ese, self.sre = PON, 0, 0

    def update_status(self) -> None:
        """Bring all registers up to date."""
        self.refresh_status()
        if self._completion_asked and self.busy_until_ps <= self.clock.now_ps():
            self._completion_asked = False
            self.esr |= OPC

    def status_byte(self) -> int:
        """Return the status byte with its master summary."""
        self.update_status()
        bits = EAV if len(self.errors) else 0
        bits |= MAV if self.reply_waits else 0
        bits |= ESB if self.esr & self.ese else 0
        for name, bit in self.summary_bits.items():
            bits |= bit if name in self.status and self.status[name].summary else 0
        return bits | (MSS if bits & self.sre & ~MSS else 0)

    def _left_s(self) -> float:
        return max(0, self.busy_until_ps - self.clock.now_ps()) / PS_PER_S

    @query("*IDN?")
    def _common_idn(self) -> str:
        return self.identify()

    @command("*RST")
    def _common_rst(self) -> None:
        self.reset_settings()

    @query("*TST?")
    def _common_tst(self) -> int:
        return self.self_test()

    @command("*CLS")
    def _common_cls(self) -> None:
        self.errors.clear()
        self.esr = 0
        self._completion_asked = False
        for group in self.status.values():
            group.event = 0

    @query("*ESR?")
    def _common_esr(self) -> int:
        self.update_status()
        value, self.esr = self.esr, 0
        return value

    @command("*ESE", integer(0, 255))
    def _common_ese(self, mask: int) -> None:
        self.ese = mask

    @query("*ESE?")
    def _common_ese_query(self) -> int:
        return self.ese

    @command("*SRE", integer(0, 255))
    def _common_sre(self, mask: int) -> None:
        self.sre = mask & ~MSS

    @query("*SRE?")
    def _common_sre_query(self) -> int:
        return self.sre

    @query("*STB?")
    def _common_stb(self) -> int:
        return self.status_byte()

    @command("*OPC")
    def _common_opc(self) -> None:
        self._completion_asked = True
        self.update_status()

    @query("*OPC?")
    def _common_opc_query(self) -> Reply:
        return Later(self._left_s(), lambda: "1")

    @command("*WAI")
    def _common_wai(self) -> Reply:
        return Later(self._left_s(), lambda: None)

    @query("SYSTem:ERRor[:NEXT]?")
    def _common_error(self) -> str:
        return self.errors.pop()

    @query("SYSTem:ERRor:ALL?")
    def _common_all_errors(self) -> str:
        return ",".join(self.errors.pop() for _ in range(max(1, len(self.errors))))

    @query("SYSTem:ERRor:COUNt?")
    def _common_error_count(self) -> int:
        return len(self.errors)

    @query("SYSTem:VERSion?")
    def _common_version(self) -> str:
        return "1999.0"

    @command("STATus:PRESet")
    def _common_preset(self) -> None:
        for group in self.status.values():
            group.preset()


_REGISTERS = {
    ":ENABle": "enable",
    ":PTRansition": "positive",
    ":NTRansition": "negative",
    ":PTR": "positive",
    ":NTR": "negative",
}


def status_entries(groups: Sequence[str]) -> list[Entry]:
    """Return the command table of the `STATus` tree for these groups."""
    return [entry for group in groups for entry in _group_entries(group)]


def _group_entries(name: str) -> list[Entry]:
    def event(twin: ScpiTwin, *_: object) -> int:
        twin.update_status()
        return twin.status[name].read_event()

    def condition(twin: ScpiTwin, *_: object) -> int:
        twin.update_status()
        return twin.status[name].condition

    entries = [
        Entry(Header(f"STATus:{name}[:EVENt]?"), event),
        Entry(Header(f"STATus:{name}:CONDition?"), condition),
    ]
    for node, attribute in _REGISTERS.items():
        entries += _mask_entries(name, f"STATus:{name}{node}", attribute)
    return entries


def _mask_entries(name: str, pattern: str, attribute: str) -> list[Entry]:
    mask = integer(0, 0xFFFF)

    def read(twin: ScpiTwin, *_: object) -> int:
        return int(getattr(twin.status[name], attribute))

    def write(twin: ScpiTwin, numbers: tuple[int, ...], arguments: list[str]) -> None:
        del numbers
        if len(arguments) != 1:
            raise ScpiError(-108 if arguments else -109)
        setattr(twin.status[name], attribute, mask.parse(arguments[0]) & 0x7FFF)

    return [Entry(Header(pattern), write), Entry(Header(f"{pattern}?"), read)]
