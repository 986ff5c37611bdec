"""Downloads of the ID900's tags: into a file while they come, or over ZeroMQ record by record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from qlab.clock import Clock
    from qlab.twin.conversation import OutputStream
    from sim_devices.taggers.id900_players import Player, Window
    from sim_devices.taggers.id900_signals import Signals

    Tags = tuple[NDArray[np.int64], NDArray[np.int64]]

__all__ = ["Controller", "Job", "Save", "Stream"]


class Controller(Protocol):
    """The time controller that is read from."""

    clock: Clock
    signals: Signals

    @property
    def record(self) -> Player:
        """The record window."""
        ...

    @property
    def connected(self) -> bool:
        """Whether the controller answers."""
        ...


class Job:
    """One running download of one raw output.

    Parameters
    ----------
    controller, channel:
        What is downloaded.
    with_index:
        Whether each tag is followed by the number of its reference event, or of its record where there is none.
    """

    def __init__(self, controller: Controller, channel: int, *, with_index: bool) -> None:
        self.controller = controller
        self.channel = channel
        self.with_index = with_index
        self.start_ps = self.done_ps = self.heard_ps = controller.clock.now_ps()
        self.count = 0
        self.error = ""
        self.running = True

    def advance(self, now_ps: int) -> None:
        """Hand on what has come."""
        raise NotImplementedError

    def end(self, now_ps: int) -> None:
        """Hand on the rest and stop."""
        self.advance(now_ps)
        self.running = False

    def status(self, now_ps: int) -> dict[str, object]:
        """Return what the service tells: `acquisitions_count` are whole records, times are in s."""
        windows = self.controller.record.windows(self.start_ps, now_ps)
        return {
            "acquisitions_count": sum(window.stop_ps <= now_ps for window in windows),
            "timestamps_count": self.count,
            "inactivity": (now_ps - self.heard_ps) * 1e-12,
            "errors": [{"description": self.error}] if self.error else [],
        }

    def tags(self, window: Window, start_ps: int, stop_ps: int) -> Tags:
        """Return the times within [start, stop) from the reference event on (or the window's start), and the indices."""
        signals = self.controller.signals
        raw = signals.raws[self.channel]
        t = raw.gate.passing(signals.events(raw.stop, start_ps, stop_ps))
        if raw.ref == "NONE":
            return t - window.start_ps, np.full(t.size, window.index)
        refs = signals.events(raw.ref, window.start_ps, stop_ps)
        index = np.searchsorted(refs, t, side="right") - 1
        behind = index >= 0
        return (t - refs[np.maximum(index, 0)])[behind] if refs.size else t[:0], index[behind]

    def packed(self, tags: Tags) -> bytes:
        """Return little-endian 64-bit numbers; counts them."""
        t, index = tags
        self.count += t.size
        if t.size:
            self.heard_ps = self.controller.clock.now_ps()
        return (np.column_stack([t, index]) if self.with_index else t).astype("<u8").tobytes()


class Save(Job):
    """A download into a file, as `bin` or as text."""

    def __init__(
        self, controller: Controller, channel: int, append: Callable[[bytes], None], *, with_index: bool, as_text: bool
    ) -> None:
        super().__init__(controller, channel, with_index=with_index)
        self._append = append
        self._as_text = as_text
        self._put(b"")

    def advance(self, now_ps: int) -> None:
        """Append what has come."""
        if not self.running or now_ps <= self.done_ps:
            return
        for window in self.controller.record.windows(self.done_ps, now_ps):
            tags = self.tags(window, max(window.start_ps, self.done_ps), min(window.stop_ps, now_ps))
            data = self.packed(tags)
            self._put(self._text(tags) if self._as_text else data)
        self.done_ps = now_ps

    def _text(self, tags: Tags) -> bytes:
        if not self.with_index:
            return "".join(f"{t}\n" for t in tags[0].tolist()).encode()
        return "".join(f"{t};{n}\n" for t, n in zip(*(part.tolist() for part in tags), strict=True)).encode()

    def _put(self, data: bytes) -> None:
        try:
            self._append(data)
        except OSError as error:
            self.error = f"cannot write: {error.strerror or error}"
            self.running = False


class Stream(Job):
    """A download over ZeroMQ: one message a record, when it is over; an empty one at the end."""

    def __init__(self, controller: Controller, channel: int, output: OutputStream, *, with_index: bool) -> None:
        super().__init__(controller, channel, with_index=with_index)
        self.output = output

    def advance(self, now_ps: int) -> None:
        """Send the records that are over."""
        if not self.running:
            return
        for window in self.controller.record.windows(self.done_ps, now_ps):
            if window.stop_ps > now_ps:
                break
            data = self.packed(self.tags(window, max(window.start_ps, self.start_ps), window.stop_ps))
            if data:  # an empty message would end the stream
                self.output.send(data)
            self.done_ps = window.stop_ps

    def end(self, now_ps: int) -> None:
        """Send the rest and say that it is all."""
        super().end(now_ps)
        self.output.send(b"")
