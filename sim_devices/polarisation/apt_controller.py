"""What all APT controllers do: messages, registers, motors that report when they have arrived."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, ClassVar, Literal

from qlab.errors import TwinError
from sim_devices.polarisation.apt_axis import COUNTER_RANGE
from sim_devices.polarisation.apt_conversation import AptConversation
from sim_devices.polarisation.apt_messages import pack_long, pack_short
from sim_devices.polarisation.apt_registers import REGISTERS, Registers

if TYPE_CHECKING:
    from qlab.clock import Clock
    from qlab.twin.bench import Bench
    from sim_devices.polarisation.apt_axis import Axis
    from sim_devices.polarisation.apt_messages import Message

__all__ = ["AptTwin"]

POSITION, COMPLETED, STATUS = Struct("<Hi"), Struct("<HiHHI"), Struct("<HiII")
DC_STATUS, BITS = Struct("<HiHhI"), Struct("<HI")
INFO, SAVE = Struct("<i8sH4B60sHHH"), Struct("<HH")
AT_END, AT_BEGINNING = 1 << 0, 1 << 1
FORWARD, BACKWARD, JOGGING_FORWARD, JOGGING_BACKWARD = 1 << 4, 1 << 5, 1 << 6, 1 << 7
HOMING, HOMED, ERROR, STALLED, ENABLED = 1 << 9, 1 << 10, 1 << 30, 1 << 14, 1 << 31
TROUBLES = {
    "interlock": 1 << 16,
    "over_temperature": 1 << 17,
    "supply_voltage": 1 << 18,
    "commutation": 1 << 19,
    "overload": 1 << 24,
    "encoder": 1 << 25,
    "over_current": 1 << 26,
    "current": 1 << 27,
}
"""[V2] Device faults that show in a status bit of their own, beside the error bit."""
RUNNING_MA = 100
"""[INF] Current of a motor that turns; at rest it needs none."""
FASTEST_TOLD = 0xFFFF
"""[INF] The status has 16 bits for a velocity, of counts of position a second; what is faster shows as this."""
CONTINUOUS = 1
"""[V2] The jog mode that goes on until it is stopped."""
PADDLES = 0x0530
"""The one parameter that is of no channel."""
FAULTS = ("stuck_motor", *TROUBLES)


class AptTwin:
    """A controller with its motors, by channel."""

    wire: ClassVar[Literal["tcp", "serial", "zmq"]] = "serial"
    model: ClassVar[str] = ""
    type_number: ClassVar[int] = 44  # [INF] brushless DC; 16 is a stepper
    both_moving_bits: ClassVar[bool] = False
    stepper: ClassVar[bool] = False

    def __init__(self, name: str, bench: Bench, serial: int, axes: dict[int, Axis]) -> None:
        self.clock: Clock = bench.clock
        self.axes = axes
        self._name = name
        self._bench = bench
        self._serial = serial
        self._troubles = 0
        self._moves = 0
        self.registers = Registers()

    def connect(self) -> AptConversation:
        """Begin a conversation with one client."""
        return AptConversation(self)

    def reset_power(self) -> None:
        """Forget parameters and zeros."""
        for axis in self.axes.values():
            axis.lose_power()
        for (number, channel), data in self.registers.power_up().items():
            self.parameters_changed(number, channel, data)

    def device_fault(self, name: str, *, active: bool = True) -> None:
        """Block the motors or raise a status bit; or end it."""
        if name not in FAULTS:
            msg = f"{self._name}: unknown device fault {name!r}; expected one of {', '.join(FAULTS)}"
            raise TwinError(msg)
        if bit := TROUBLES.get(name, 0):
            self._troubles = self._troubles | bit if active else self._troubles & ~bit
        for axis in self.axes.values():
            if name == "stuck_motor":
                axis.stuck = active

    def peek(self) -> dict[str, object]:
        """Return where the motors stand."""
        return {f"channel_{n}": {"counts": axis.counts(), "homed": axis.homed} for n, axis in self.axes.items()}

    def bits(self, axis: Axis) -> int:
        """Return the status bits of a motor."""
        value = ENABLED if axis.enabled else 0
        value |= HOMED if axis.homed else 0
        value |= HOMING if axis.homing and axis.moving else 0
        if axis.moving:
            value |= FORWARD | BACKWARD if self.both_moving_bits else FORWARD if axis.direction > 0 else BACKWARD
            if axis.jogging:
                value |= JOGGING_FORWARD if axis.direction > 0 else JOGGING_BACKWARD
        elif axis.against:
            value |= AT_END if axis.against > 0 else AT_BEGINNING
        value |= STALLED | ERROR if axis.stalled else 0
        return value | (self._troubles | ERROR if self._troubles else 0)

    def completed(self, number: int, channel: int) -> bytes:
        """Return the message that a move has ended."""
        axis = self.axes[channel]
        return pack_long(number, COMPLETED.pack(channel, axis.counts(), 0, 0, self.bits(axis)))

    def status(self, channel: int) -> bytes:
        """Return a status update."""
        axis = self.axes[channel]
        if self.stepper:
            return pack_long(0x0481, STATUS.pack(channel, axis.counts(), 0, self.bits(axis)))
        speed, current = min(axis.pace, FASTEST_TOLD), RUNNING_MA if axis.moving else 0
        return pack_long(0x0491, DC_STATUS.pack(channel, axis.counts(), speed, current, self.bits(axis)))

    def answer(self, message: Message, client: AptConversation) -> bytes:
        """Carry out one message; what it does not know is not answered."""
        register = next((number for number in REGISTERS if 0 <= message.id - number < 2), None)
        if register is not None:
            return self._register(register, message)
        if message.id == 0x0005:
            return pack_long(0x0006, self._info())
        if message.id == 0x0210:
            self._enable(message.p1, on=message.p2 == 1)
        elif message.id == 0x0211:
            return pack_short(0x0212, message.p1, self._enabled(message.p1))
        elif message.id in (0x0011, 0x0012):
            client.update(on=message.id == 0x0011)
        elif message.id == 0x0492:
            client.keep_alive()
        elif message.id == 0x0002:
            client.update(on=False)
        elif message.id == 0x04B9 and len(message.data) == SAVE.size:
            channel, number = SAVE.unpack(message.data)
            self.registers.save(number, channel if number != PADDLES else 0)
        else:
            channel = int.from_bytes(message.data[:2], "little") if message.data else message.p1
            if channel in self.axes:
                return self._motor(message, channel, client)
        return b""

    def _motor(self, message: Message, channel: int, client: AptConversation) -> bytes:
        """Carry out a message for one motor."""
        axis, number = self.axes[channel], message.id
        if number in (0x0410, 0x0409) and len(message.data) == POSITION.size:
            axis.set_counts(POSITION.unpack(message.data)[1])
        elif number in (0x0411, 0x040A):
            return pack_long(number + 1, POSITION.pack(channel, axis.counts()))
        elif number == 0x0429:
            return pack_long(0x042A, BITS.pack(channel, self.bits(axis)))
        elif number == (0x0480 if self.stepper else 0x0490):
            return self.status(channel)
        elif number == 0x0465:
            axis.halt()
            client.forget(channel)
            return self.completed(0x0466, channel)
        elif number == 0x0443 and axis.enabled:
            axis.home()
            client.expect(channel, pack_short(0x0444, channel))
        elif axis.enabled and (target := self._target(message, channel, axis)) is not None:
            self._moves += 1
            axis.go(target, self.stop_error(self._moves))
            axis.jogging = number == 0x046A
            client.expect(channel, None)
        return b""

    def _target(self, message: Message, channel: int, axis: Axis) -> int | None:
        """Return where a move goes to, in counts; None for what is no move."""
        if message.id in (0x0448, 0x0453):
            preset = self.registers.value(0x0445 if message.id == 0x0448 else 0x0450, channel, axis)
            data = message.data or preset
            if len(data) != POSITION.size:
                return None
            counts: int = POSITION.unpack(data)[1]
            return counts + axis.counts() if message.id == 0x0448 else counts
        if message.id == 0x046A and message.p2 in (1, 2):
            continuous = self.registers.value(0x0416, channel, axis)[2] == CONTINUOUS
            size = COUNTER_RANGE // 2 - 1 if continuous else self.jog_step(channel, axis)
            return axis.counts() + (size if message.p2 == 1 else -size)
        return None

    def jog_step(self, channel: int, axis: Axis) -> int:
        """Return by how many counts a jog goes."""
        return int.from_bytes(self.registers.value(0x0416, channel, axis)[4:8], "little", signed=True)

    def stop_error(self, move: int) -> float:
        """Return by how many degrees a move misses its end."""
        del move
        return 0.0

    def parameters_changed(self, number: int, channel: int, data: bytes) -> None:
        """Follow new parameters: velocity and the backlash correction."""
        axis = self.axes.get(channel)
        if axis is None:
            return
        if number == 0x0413:
            steep, fast = (int.from_bytes(data[at : at + 4], "little", signed=True) for at in (6, 10))
            axis.steepness = min(max(steep / axis.scale.acceleration, 0.1), axis.scale.steepest)
            axis.speed = min(max(fast / axis.scale.velocity, 0.01), axis.scale.fastest)
        elif number == 0x0440:
            axis.home_speed = int.from_bytes(data[6:10], "little", signed=True) / axis.scale.velocity
            axis.home_offset = int.from_bytes(data[10:14], "little", signed=True)
        elif number == 0x043A:
            axis.correction = int.from_bytes(data[2:6], "little", signed=True)

    def _register(self, number: int, message: Message) -> bytes:
        size = REGISTERS[number]
        if message.id == number:
            if len(message.data) == size:
                channel = int.from_bytes(message.data[:2], "little") if number != PADDLES else 0
                self.registers.store(number, channel, message.data)
                self.parameters_changed(number, channel, message.data)
            return b""
        channel = message.p1 if number != PADDLES else 0
        return pack_long(number + 2, self.registers.value(number, channel, self.axes.get(channel)))

    def _enable(self, channel: int, *, on: bool) -> None:
        if channel in self.axes:
            self.axes[channel].enabled = on

    def _enabled(self, channel: int) -> int:
        return 1 if channel in self.axes and self.axes[channel].enabled else 2

    def _info(self) -> bytes:
        model = self.model.encode().ljust(8, b"\0")
        return INFO.pack(self._serial, model, self.type_number, 3, 0, 2, 0, bytes(60), 1, 0, len(self.axes))
