r"""White Rabbit node (PTP core): a node's time by fibre, tens of picoseconds from its master's.

Serial, 115200 baud: a shell that echoes, answers and prompts with `wrc# `.  All numbers stand in the one line of `stat`; it
is taken by `stat on` and `stat off`, as `stat` alone toggles in some firmware.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ophyd import Component as Cpt

from devices.base import Instrument, InstrumentSettings
from devices.signals import QuerySignal, SoftSignal
from devices.timing.white_rabbit_health import ServoWatch
from qlab.errors import BadReplyError, InstrumentError

if TYPE_CHECKING:
    from devices.worker import WorkerStatus
    from qlab.links.link import Link

__all__ = ["WhiteRabbitNode"]

LINE = re.compile(rb"lnk:[^\r\n]*\r\n")
FIELD = re.compile(r"(\w+):\s*('[^']*'|\S+)")
POLL_S = 1.0
REFUSED = re.compile(r'Command "\w+": error|Unrecognized command|usage:')


def _last_word(text: str) -> str:
    return text.split()[-1]


class WhiteRabbitNode(Instrument):
    """The node; role `qlab.roles.Clock`.  A node in master mode has no offset (NaN) and follows nobody."""

    identity = r"WR Core build:"
    twin = "sim_devices.timing.white_rabbit_node.WhiteRabbitNodeTwin"
    wire = "serial"
    link_options = {"baud": 115200, "terminator": b"wrc# ", "command_terminator": b"\r"}
    line_break = b"\x1b\rstat off\r"
    warm_up_s = 30.0
    lock_timeout_s: ClassVar[float] = 300.0

    class Settings(InstrumentSettings):
        """What the lab file may set."""

        mode: Literal["slave", "master"] | None = None
        offset_limit_ps: float | None = None

    link_up = Cpt(SoftSignal, initial=0, kind="normal")
    pll_locked = Cpt(SoftSignal, initial=0, kind="normal")
    state = Cpt(SoftSignal, initial="", kind="normal")
    offset_ps = Cpt(SoftSignal, initial=math.nan, units="ps", kind="hinted")
    round_trip_ps = Cpt(SoftSignal, initial=math.nan, units="ps", kind="normal")
    cable_ps = Cpt(SoftSignal, initial=math.nan, units="ps", kind="normal")
    asymmetry_ps = Cpt(SoftSignal, initial=math.nan, units="ps", kind="normal")
    updates = Cpt(SoftSignal, initial=0, kind="normal")
    tai_s = Cpt(SoftSignal, initial=0, units="s", kind="normal")
    board_c = Cpt(SoftSignal, initial=math.nan, units="degC", precision=2, kind="normal")
    offset_limit_ps = Cpt(SoftSignal, initial=500.0, units="ps", limits=(1.0, 1e9), kind="config")
    mode = Cpt(
        QuerySignal,
        query="mode",
        command="mode {}",
        parse=lambda text: text.split()[-1],
        initial="slave",
        kind="config",
    )

    def __init__(self, prefix: str = "", **kwargs: Any) -> None:
        super().__init__(prefix, **kwargs)
        self._watch = ServoWatch(interval_s=3.0)

    def query_identity(self, link: Link) -> str:
        """Return the first line of `ver`."""
        return self._shell(link, "ver", retry=False).partition("\r\n")[0]

    @property
    def firmware(self) -> str:
        """What stands behind the colon of the identity."""
        return self.identity_text.partition(":")[2].strip()

    @property
    def locked(self) -> bool:
        """Whether it tracked its master's phase when it was asked last."""
        return bool(self.link_up.get() and self.pll_locked.get() and self.state.get() == "TRACK_PHASE")

    @property
    def offset_s(self) -> float | None:
        """Its time against its master's, as last fetched; None for a master."""
        offset_ps = self.offset_ps.get()
        return None if math.isnan(offset_ps) else offset_ps * 1e-12

    def apply_settings(self) -> None:
        """Set what the lab file asks for."""
        super().apply_settings()
        if self.settings.offset_limit_ps is not None:
            self.offset_limit_ps.put(self.settings.offset_limit_ps)

    def wait_for_lock(self) -> WorkerStatus:
        """Wait until it tracks its master's phase."""
        return self.in_thread("lock", self._wait_for_lock)

    def ask(self, command: str, *, delay_s: float = 0.0, timeout_s: float | None = None) -> str:
        """Return what stands between echo and prompt."""
        return self._shell(self.link, command, delay_s=delay_s, timeout_s=timeout_s)

    def tell(self, command: str) -> None:
        """Send a set, once; the shell says nothing when it agrees."""
        found = self._shell(self.link, command, retry=False)
        if REFUSED.search(found):
            what = "the node refused a command"
            raise InstrumentError(what, device=self.name, command=command, found=found)

    def measure(self) -> None:
        """Fetch the line of statistics."""
        said = self.link.query("stat on", read=self._read_line).decode("latin-1")
        fields = {key: value.strip("'") for key, value in FIELD.findall(said)}
        try:
            for signal, key, parse in (
                (self.link_up, "lnk", int),
                (self.pll_locked, "lock", int),
                (self.tai_s, "sec", int),
                (self.board_c, "temp", float),
            ):
                signal.remember(parse(fields[key]))
            slave = "ss" in fields
            self.state.remember(fields["ss"] if slave else "master")
            self.updates.remember(int(fields["ucnt"]) if slave else 0)
            for signal, key in (
                (self.offset_ps, "cko"),
                (self.round_trip_ps, "mu"),
                (self.cable_ps, "crtt"),
                (self.asymmetry_ps, "asym"),
            ):
                signal.remember(float(fields[key]) if slave else math.nan)
        except (KeyError, ValueError) as error:
            self.link.distrust()
            what = f"the statistics make no sense: {error!r}"
            raise BadReplyError(what, device=self.name, command="stat on", found=said) from error
        self._watch.see(self.updates.get(), self.clock.now_s())

    def check_health(self) -> list[str]:
        """Return why its time is not its master's."""
        self.measure()
        if not self.link_up.get():
            return ["the link is down: it holds over"]
        if not self.pll_locked.get():
            return ["the PLL is not locked to the link: it holds over"]
        if self.state.get() == "master":
            return []
        return self._watch.complaints(self.state.get(), self.offset_ps.get(), self.offset_limit_ps.get())

    def _wait_for_lock(self) -> None:
        deadline_s = self.clock.now_s() + self.lock_timeout_s
        self.measure()
        while not self.locked:
            if self.clock.now_s() > deadline_s:
                what = f"it does not track its master after {self.lock_timeout_s:g} s"
                found, hint = "; ".join(self.check_health()), "is the fibre connected, and is the other end a master?"
                raise InstrumentError(what, device=self.name, found=found, expected="TRACK_PHASE", hint=hint)
            self.wait_s(POLL_S)
            self.measure()

    def _read_line(self) -> bytes:
        """Read up to a whole line of statistics, which may come before the prompt or behind it, and switch them off."""
        said = b""
        while (found := LINE.search(said)) is None:
            said += self.link.read_until(b"\n") + b"\n"
        self.link.write(b"stat off\r")
        self.link.read_until(b"stat off")
        self.link.read_until()
        return found[0]

    def _shell(
        self, link: Link, command: str, *, delay_s: float = 0.0, timeout_s: float | None = None, retry: bool = True
    ) -> str:
        said = link.ask(command, delay_s=delay_s, timeout_s=timeout_s, retry=retry)
        echo, _, reply = said.partition("\r\n")
        if echo.strip() != command:
            link.distrust()
            what = "the shell did not echo the command"
            raise BadReplyError(what, device=self.name, command=command, found=said, expected=repr(command))
        return reply.strip()
