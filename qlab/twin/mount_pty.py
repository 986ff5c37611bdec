"""A serial twin on a pseudo-terminal, behind a symlink that stays while the pty's number changes.

As with a USB-serial adapter, a power cycle ends the port (the client's next call fails with errno 5) and the instrument
comes back under a new number.  The slave's end is kept open here too: the twin then neither sees clients come and go,
as on a real line, nor gets EIO from a terminal that nobody has opened.  A pty takes no parity, no 7 bits, no modem
lines; for these there is `mount_serial_tcp`.
"""

from __future__ import annotations

import errno
import os
import tty
from collections import deque
from typing import TYPE_CHECKING

from qlab.errors import TwinError
from qlab.twin.mount import Mount

if TYPE_CHECKING:
    from pathlib import Path

    from qlab.twin.conversation import Twin
    from qlab.twin.host import TwinHost
    from qlab.twin.session import Session

__all__ = ["PtyMount"]

_READ = 1 << 16
_BACKLOG = 1 << 26
"""Bytes that wait for a client who does not read: USB has flow control, so that a slow reader loses nothing; a limit all the
same, for one who never reads."""


class PtyMount(Mount):
    """A twin on a pseudo-terminal.

    Parameters
    ----------
    symlink:
        The lasting path.
    """

    def __init__(self, host: TwinHost, twin: Twin, name: str, symlink: Path) -> None:
        super().__init__(host, twin, name)
        if symlink.exists() and not symlink.is_symlink():
            msg = f"{name}: {symlink} exists and is not a symlink of ours"
            raise TwinError(msg)
        self.symlink = symlink
        self.address = str(symlink)
        self.lost, self.backlog = 0, _BACKLOG
        """Bytes that nobody read in time."""
        self._master = -1
        self._slave = -1
        self._line: Session | None = None
        self._queue: deque[bytes] = deque()
        self._queued = 0

    async def open_wire(self) -> None:
        """Make a pty if there is none and show it."""
        self._plug()

    async def close_wire(self) -> None:
        """End the pty; its clients get EIO."""
        self._unplug()

    async def remove_wire(self) -> None:
        """End the pty."""
        self._unplug()

    def _plug(self) -> None:
        if not self.reachable:
            return
        if self._line is None:
            self._master, self._slave = os.openpty()
            tty.setraw(self._slave)
            os.set_blocking(self._master, False)
            self.host.loop.add_reader(self._master, self._readable)
            self._line = self.begin(self.twin, self._flush, self._hang_up)
        temporary = self.symlink.with_name(f".{self.symlink.name}.new")
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(os.ttyname(self._slave))
        temporary.replace(self.symlink)

    def _unplug(self) -> None:
        if self._line is None:
            return
        line, self._line = self._line, None
        self.symlink.unlink(missing_ok=True)
        self._discard(line, self._master, self._slave)

    def _discard(self, line: Session, master: int, slave: int) -> None:
        self.host.loop.remove_reader(master)
        self.host.loop.remove_writer(master)
        os.close(master)
        os.close(slave)
        self._queue.clear()
        self._queued = 0
        self.end(line)

    def _readable(self) -> None:
        line = self._line
        if line is None:
            return
        try:
            data = os.read(self._master, _READ)
        except BlockingIOError:
            return
        except OSError as exc:
            if exc.errno != errno.EIO:
                raise
            return  # nobody has the terminal open
        self.take(line, data)

    def _flush(self, session: Session) -> None:
        if session is not self._line:
            session.outbox.clear()
            return
        while session.outbox:
            data = session.outbox.popleft()
            room = max(0, self.backlog - self._queued)
            self.lost += len(data) - len(data[:room])
            self._queue.append(data[:room])
            self._queued += len(data[:room])
        self._writable()

    def _writable(self) -> None:
        """Write what the terminal takes without blocking; the loop calls again when it takes more."""
        while self._queue:
            data = self._queue.popleft()
            try:
                written = os.write(self._master, data)
            except BlockingIOError:
                written = 0
            self._queued -= written
            if written < len(data):
                self._queue.appendleft(data[written:])
                self.host.loop.add_writer(self._master, self._writable)
                return
        self.host.loop.remove_writer(self._master)

    def _hang_up(self, session: Session) -> None:
        """Unplug and plug in again, before the command that did it counts as received.

        The new terminal is there before the old one goes: whoever opens the lasting path meanwhile finds one of them.
        """
        if session is self._line:
            old, self._line = (session, self._master, self._slave), None
            self._plug()
            self._discard(*old)
