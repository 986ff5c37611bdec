r"""Twin of a White Rabbit node: the shell of its PTP core on a UART.  Written from protocol sheet 21.

A command ends with a carriage return or a line feed; it is echoed, answered, and the prompt `wrc# ` follows.  `stat on`
prints a line at once and then one every second, whatever else is said.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, ClassVar, Literal

from qlab.clock import PS_PER_S
from qlab.twin.conversation import Dialogue
from qlab.twin.framing import LineFramer
from qlab.twin.lines import LineError, LineTwin, line
from sim_devices.timing.white_rabbit_fibre import FIXED_DELAYS, FibreParameters
from sim_devices.timing.white_rabbit_servo import Servo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qlab.twin.bench import Bench

__all__ = ["WhiteRabbitNodeTwin"]

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""Where the lab's time begins on its calendar."""
TAI_S = round(EPOCH.timestamp()) + 37
SELF_HEATING_K = 18.0  # [INF] of the board
BAD_ARGUMENT, BUSY = -22, -16  # [V1] how the shell words what it refuses
ALONE = "listening"  # [INF] its role without link or servo
DIAGNOSTICS = "Aux diag ID: 0x00000000, ver: 0x00000000, ro: 0, rw: 0"  # [INF]
STAT_OFF = "statistics now off"  # [V1]
COMMANDS = "diag help ip mac mode ptp sfp stat time ver"
HD, MD, AD = 1234, 56, 0  # the DACs of the sheet's example
SETPOINT_PS, RX, TX = 1234, 40, 10


class Parameters(FibreParameters):
    """The `twin:` section: the node."""

    firmware: str = "wrpc-v4.2"
    mac: str = "08:00:30:12:34:56"
    ip: str = "192.168.10.21"
    sfp: str = "AXGE-3454-0531"
    mode: Literal["slave", "master"] = "slave"


class _Shell(Dialogue):
    """The dialogue, and the statistics that come by themselves."""

    def __init__(self, twin: WhiteRabbitNodeTwin) -> None:
        super().__init__(twin, LineFramer(twin.terminators, ignored=twin.ignored, keep_empty=True), twin.clock)
        self._node = twin
        self._printed_s = 0

    def due_ps(self) -> int | None:
        """Return when the dialogue goes on or the next line is due."""
        answer = super().due_ps()
        lines = self._node.next_line_ps(self._printed_s)
        return min(answer, lines) if answer is not None and lines is not None else answer or lines

    def wake(self) -> bytes:
        """Go on with the dialogue, and print what is due."""
        said = super().wake()
        due = self._node.next_line_ps(self._printed_s)
        if due is None or due > self._node.clock.now_ps():
            return said
        self._printed_s = self._node.clock.now_ps() // PS_PER_S
        return said + f"{self._node.statistics()}\r\n".encode()


class WhiteRabbitNodeTwin(LineTwin):
    """The node."""

    wire: ClassVar[Literal["tcp", "serial", "zmq"]] = "serial"
    terminators = b"\r\n"
    echo = True
    prompt = b"wrc# "
    answer_empty = True
    ignore_case = True

    def __init__(self, name: str, bench: Bench, parameters: Parameters) -> None:
        super().__init__(bench.clock)
        self._parameters = parameters
        self._ambient_c = bench.ambient_c(name)
        self._mode: str = parameters.mode
        self._on_since_ps: int | None = None
        self._dark_ps: int | None = None if parameters.begins_tracking else bench.clock.now_ps()
        self.servo = Servo(name, bench, parameters)

    @classmethod
    def build(cls, name: str, bench: Bench, parameters: Mapping[str, object]) -> WhiteRabbitNodeTwin:
        """Build the twin from the lab file's `twin:` section."""
        return cls(name, bench, Parameters.model_validate(dict(parameters)))

    def connect(self) -> Dialogue:
        """Begin a conversation with one client."""
        return _Shell(self)

    def reset_power(self) -> None:
        """Begin without time; the start script sets the mode again [INF]."""
        self._mode = self._parameters.mode
        self._on_since_ps = None
        self._dark_ps = self.clock.now_ps()
        self.servo.reset()

    def device_fault(self, name: str, *, active: bool = True) -> None:
        """Let link, lock or servo fail, or the master step; or mend it."""
        self.servo.fault(name, active=active)

    def peek(self) -> dict[str, object]:
        """Return state, offset and true time error."""
        return {"state": self.servo.state, "offset_ps": self.servo.offset_ps, "time_error_ps": self.servo.time_error_ps}

    def next_line_ps(self, printed_s: int) -> int | None:
        """Return when the next line of statistics is due, given the second of the last one."""
        if self._on_since_ps is None:
            return None
        first_s = self._on_since_ps // PS_PER_S + 1
        return max(first_s, printed_s + 1) * PS_PER_S

    def statistics(self) -> str:
        """Return the line of `stat`; [V2] its fields and their order."""
        servo, now, slave = self.servo, self.clock.now_ps(), self._mode == "slave"
        sec, nsec = divmod(self._time_ps(), PS_PER_S)
        role = self._mode if servo.link_up and not servo.stopped else ALONE
        text = f"lnk:{servo.link_up:d} rx:{RX + now // PS_PER_S} tx:{TX + now // PS_PER_S} lock:{servo.locked:d} ptp:{role} "
        if slave:
            text += f"sv:{servo.state != 'Uninitialized':d} ss:'{servo.state}' "
        text += f"aux0:0 sec:{sec} nsec:{nsec // 1000:09d} "
        if slave:
            crtt, asym = servo.fibre.cable_ps(now), round(self._parameters.asymmetry_ps)
            mu = crtt + sum(FIXED_DELAYS)
            dtxm, drxm, dtxs, drxs = FIXED_DELAYS
            text += f"mu:{mu} dms:{(mu - asym) // 2} dtxm:{dtxm} drxm:{drxm} dtxs:{dtxs} drxs:{drxs} asym:{asym} "
            text += f"crtt:{crtt} cko:{servo.offset_ps} setp:{SETPOINT_PS} ucnt:{servo.count()[0]} bslide:0 "
        return text + f"hd:{HD} md:{MD} ad:{AD} temp:{self._ambient_c + SELF_HEATING_K:.4f} C"

    @line("ver")
    def _version(self) -> list[str]:
        return [f"WR Core build: {self._parameters.firmware}", "Built for 128 kB RAM, stack is 2048 bytes"]

    @line("mac", "mac get")
    def _mac(self) -> str:
        return f"MAC-address: {self._parameters.mac}"

    @line("ip", "ip get")
    def _ip(self) -> str:
        return f"IP-address: {self._parameters.ip} (static assignment)"  # [V1] wording

    @line("ptp", "mode")
    def _show_mode(self) -> str:
        return f"{'stopped' if self.servo.stopped else 'running'}; e2e {self._mode}"  # [V1]

    @line(r"(ptp|mode) (start|stop|master|slave)")
    def _set_mode(self, _command: str, what: str) -> None:
        word = what.lower()
        if word in ("start", "stop"):
            self.servo.stop(stopped=word == "stop")
        else:
            self._mode = word

    @line("stat")
    def _stat_once(self) -> str:
        return self.statistics()

    @line("stat on")
    def _stat_on(self) -> str:
        self._on_since_ps = self.clock.now_ps()
        return self.statistics()

    @line("stat off")
    def _stat_off(self) -> str:
        self._on_since_ps = None
        return STAT_OFF

    @line("time")
    def _time(self) -> str:
        sec, ps = divmod(self._time_ps(), PS_PER_S)
        now = datetime.fromtimestamp(0, UTC) + timedelta(seconds=sec)
        return f"{now:%a, %b} {now.day}, {now:%Y, %H:%M:%S} +{ps // 1000} nanoseconds."  # [V1]

    @line("time raw")
    def _raw_time(self) -> str:
        sec, ps = divmod(self._time_ps(), PS_PER_S)
        return f"{sec} {ps // 1000}"

    @line("sfp show")
    def _sfp(self) -> str:
        dtx, drx = FIXED_DELAYS[2:]
        return f"1: PN:{self._parameters.sfp:<16} dTx: {dtx:8d} dRx: {drx:8d} alpha: {-73685416:8d}"  # [V1]

    @line("diag")
    def _diag(self) -> str:
        return DIAGNOSTICS

    @line("help")
    def _help(self) -> list[str]:
        return ["Available commands:", *(f"  {word}" for word in COMMANDS.split())]  # [V1]

    @line(r"(\S+)(.*)")
    def _unknown(self, word: str, _rest: str) -> None:
        if word.lower() in COMMANDS.split():
            refusal = f'Command "{word.lower()}": error {BAD_ARGUMENT}'  # [V1]
        else:
            refusal = f'Unrecognized command "{word}".'  # [V1]
        raise LineError(refusal)

    def _time_ps(self) -> int:
        """Return the node's TAI; without a master it counts from power-on."""
        now = self.clock.now_ps()
        if self._dark_ps is not None and self.servo.state not in ("Uninitialized", "SYNC_SEC"):
            self._dark_ps = None
        if self._dark_ps is not None:
            return now - self._dark_ps
        return TAI_S * PS_PER_S + now + round(self.servo.time_error_ps)
