"""Serial ports by pyserial, and serial twins on systems without ptys by its `socket://` URLs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qlab.links.link import Link

if TYPE_CHECKING:
    import serial

__all__ = ["SerialLink"]


class SerialLink(Link):
    """A serial port; `address` is a device file, a port name or a pyserial URL.

    Parameters
    ----------
    baud:
        Bits per second; 8 data bits, no parity, one stop bit.
    """

    def __init__(self, address: str, *, baud: int = 115200, **common: Any) -> None:
        super().__init__(address, **common)
        self.baud = baud
        self._port: serial.SerialBase | None = None

    def _open(self) -> None:
        import serial

        self._port = serial.serial_for_url(self.address, baudrate=self.baud, timeout=0, write_timeout=5)
        self._port.reset_input_buffer()

    def _close(self) -> None:
        if self._port is not None:
            port, self._port = self._port, None
            port.close()

    def _send(self, data: bytes) -> None:
        self._opened().write(data)

    def _receive(self, wall_timeout_s: float, want: int | None) -> bytes:
        port = self._opened()
        port.timeout = wall_timeout_s
        data: bytes = port.read(1)
        waiting = port.in_waiting if data else 0
        if waiting:
            data += port.read(waiting)
        return data

    def _opened(self) -> serial.SerialBase:
        if self._port is None:
            msg = "the port is closed"
            raise ConnectionError(msg)
        return self._port

    @property
    def _lost(self) -> tuple[type[Exception], ...]:
        import serial

        return (serial.SerialException, OSError, TypeError)  # TypeError: pyserial's read on a port just closed
