"""Serial ports by pyserial, and serial twins on systems without ptys by its `socket://` URLs."""

from __future__ import annotations

import io
import select
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

from qlab.links.link import Link

if TYPE_CHECKING:
    import serial

__all__ = ["SerialLink"]

CHUNK = 1 << 16
WRITE_TIMEOUT_S = 5.0
POLL_S = 0.002
"""Wall seconds between two looks at a port that cannot be waited for (Windows, RFC 2217)."""


class SerialLink(Link):
    """A serial port; `address` is a device file, a port name or a pyserial URL.

    Parameters
    ----------
    baud, data_bits, parity, stop_bits:
        The line's settings; parity is "N", "E" or "O".  A pty takes 8 bits without parity only.
    rtscts, xonxoff:
        Flow control by wire, by characters.
    """

    drains: ClassVar[bool] = True

    def __init__(
        self,
        address: str,
        *,
        baud: int = 115200,
        data_bits: int = 8,
        parity: str = "N",
        stop_bits: float = 1,
        rtscts: bool = False,
        xonxoff: bool = False,
        **common: Any,
    ) -> None:
        super().__init__(address, **common)
        self.settings = {
            "baudrate": baud,
            "bytesize": data_bits,
            "parity": parity,
            "stopbits": stop_bits,
            "rtscts": rtscts,
            "xonxoff": xonxoff,
        }
        self._port: serial.SerialBase | None = None
        self._waits = False

    def _open(self) -> None:
        import serial

        # Two programs on one port would read each other's replies.
        whole = {} if "://" in self.address else {"exclusive": True}
        try:
            self._port = serial.serial_for_url(
                self.address, timeout=0, write_timeout=WRITE_TIMEOUT_S, **self.settings, **whole
            )
        except ValueError as error:  # settings that this port cannot do
            raise ConnectionError(str(error)) from error
        try:
            select.select([self._port], [], [], 0)
            self._waits = True
        except (io.UnsupportedOperation, OSError, TypeError, ValueError):
            self._waits = False
        self._port.reset_input_buffer()

    def _close(self) -> None:
        port, self._port = self._port, None
        if port is None:
            return
        # pyserial forgets to close the socket of a `socket://` whose other end has gone.
        raw = vars(port).get("_socket")
        try:
            port.close()
        finally:
            if raw is not None:
                raw.close()

    def _send(self, data: bytes) -> None:
        self._opened().write(data)

    def _receive(self, wanted: int | bytes, wall_timeout_s: float) -> bytes:
        del wanted
        port = self._opened()
        if self._waits:
            select.select([port], [], [], wall_timeout_s)
        else:
            pause, waited_s = threading.Event(), 0.0
            while waited_s < wall_timeout_s and not port.in_waiting:
                pause.wait(POLL_S)
                waited_s += POLL_S
        data: bytes = port.read(CHUNK)  # its time-out is 0: what is there
        return data

    def _opened(self) -> serial.SerialBase:
        if self._port is None:
            msg = "the port is closed"
            raise ConnectionError(msg)
        return self._port

    @property
    def _lost(self) -> tuple[type[Exception], ...]:
        import serial

        lost: tuple[type[Exception], ...] = (serial.SerialException, OSError)
        with suppress(ImportError):  # Windows
            import termios

            lost += (termios.error,)  # no OSError: flushing a port whose adapter was pulled out
        return lost
