r"""Cassettes: what went over a link, recorded as lines of JSON, and a link that plays it back.

The first line is a header (`"cassette": 1` and what the recorder knows of the instrument), then one line for each piece of
bytes, the last line may hold results:

    {"cassette": 1, "class": "devices.sources.thorlabs_tc200.TC200", "instrument": "oven", "twin": true, ...}
    {"link": "main", "at_s": 0.0, "write": "id?\r"}
    {"link": "main", "at_s": 0.0, "read": "id?\rTHORLABS TC200 VERSION 2.0\r> "}
    {"result": {...}}

Bytes are written as Latin-1 text.  Played back, every byte that the driver sends must be the recorded one; replies come
as soon as they are asked for, and what was silent is silent again.
"""

from __future__ import annotations

import json
from collections import deque
from typing import TYPE_CHECKING, Any

from qlab.errors import BadRequestError, LinkError
from qlab.links.frames import FrameLink
from qlab.links.link import Link

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from qlab.clock import Clock

__all__ = ["Cassette", "CassetteError", "CassetteFrameLink", "CassetteLink", "CassetteRecorder", "read_cassette"]

FORMAT = 1
SILENCE_S = 0.01
"""Lab seconds that pass where nothing was recorded: a driver that polls for bytes must see the time move."""


class CassetteError(LinkError):
    """What the driver does is not what was recorded."""


class CassetteRecorder:
    """Collects what goes over links.

    Parameters
    ----------
    clock:
        The lab's clock.
    header:
        What to know of the instrument; must be JSON.
    """

    def __init__(self, clock: Clock, header: Mapping[str, object]) -> None:
        self._clock = clock
        self._start_ps = clock.now_ps()
        self._header = {"cassette": FORMAT, **header}
        self._lines: list[dict[str, object]] = []

    def attach(self, link: Link, label: str = "main") -> None:
        """Listen to a link from now on."""

        def listen(direction: str, data: bytes) -> None:
            at_s = round((self._clock.now_ps() - self._start_ps) * 1e-12, 6)
            last = self._lines[-1] if self._lines else {}
            text = data.decode("latin-1")
            together = last.get("link") == label and direction in last and not isinstance(link, FrameLink)
            if together and last["at_s"] == at_s:
                last[direction] = f"{last[direction]}{text}"
            else:
                self._lines.append({"link": label, "at_s": at_s, direction: text})

        link.on_bytes = listen

    def save(self, path: Path, result: object = None) -> None:
        """Write the cassette."""
        lines = [self._header, *self._lines, *([{"result": result}] if result is not None else [])]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="ascii")


class Cassette:
    """What was recorded.

    Attributes
    ----------
    header, result:
        Of the file; no result is None.
    tracks:
        By link, the pieces in order as ("write" or "read", bytes).
    """

    def __init__(
        self, path: Path, header: dict[str, Any], tracks: dict[str, deque[tuple[str, bytes]]], result: object
    ) -> None:
        self.path = path
        self.header = header
        self.tracks = tracks
        self.result = result

    def left(self) -> dict[str, int]:
        """Return, by link, how many recorded bytes the driver should have sent and has not."""
        return {link: sum(len(data) for what, data in track if what == "write") for link, track in self.tracks.items()}


def read_cassette(path: Path) -> Cassette:
    """Read a cassette; raises `BadRequestError` naming file and line for what is none."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"cassette {path} cannot be read: {error}"
        raise BadRequestError(msg) from error
    header: dict[str, Any] = {}
    tracks: dict[str, deque[tuple[str, bytes]]] = {}
    result = None
    for number, text in enumerate(lines, 1):
        try:
            line = json.loads(text)
            if number == 1:
                header = dict(line)
                if header.get("cassette") != FORMAT:
                    msg = f"found version {header.get('cassette')!r}; expected a header with cassette: {FORMAT}"
                    raise ValueError(msg)
            elif "result" in line:
                result = line["result"]
            else:
                what = "write" if "write" in line else "read"
                tracks.setdefault(line["link"], deque()).append((what, line[what].encode("latin-1")))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            msg = f"cassette {path}, line {number}: {error}"
            raise BadRequestError(msg) from error
    if not header:
        msg = f"cassette {path} is empty"
        raise BadRequestError(msg)
    return Cassette(path, header, tracks, result)


class _Player(Link):
    """Plays one track of a cassette instead of a wire."""

    def __init__(self, track: deque[tuple[str, bytes]], **common: Any) -> None:
        super().__init__("cassette", **common)
        self._track = track

    def _open(self) -> None:
        pass

    def _close(self) -> None:
        pass

    def _send(self, data: bytes) -> None:
        while self._track and self._track[0][0] == "read":  # came, and nobody read it
            self._track.popleft()
        sent = data
        while sent:
            if not self._track or self._track[0][0] != "write":
                what = "the driver sends more than was recorded"
                raise CassetteError(what, device=self.name, command=data, expected="nothing")
            expected = self._track.popleft()[1]
            size = min(len(sent), len(expected))
            if sent[:size] != expected[:size]:
                what = "the driver sends something else than was recorded"
                raise CassetteError(what, device=self.name, command=data, expected=repr(expected))
            sent = sent[size:]
            if len(expected) > size:
                self._track.appendleft(("write", expected[size:]))

    def _receive(self, wanted: int | bytes, wall_timeout_s: float) -> bytes:
        del wanted
        if self._track and self._track[0][0] == "read":
            return self._track.popleft()[1]
        if wall_timeout_s > 0:
            self.clock.sleep(SILENCE_S)
        return b""

    def _glance(self) -> bytes:
        return b""


class CassetteLink(_Player):
    """A link of bytes from a cassette."""


class CassetteFrameLink(_Player, FrameLink):
    """A link of frames from a cassette."""

    def _receive(self, wanted: int | bytes, wall_timeout_s: float) -> bytes:
        data = super()._receive(wanted, wall_timeout_s)
        if data:
            self._frames.append(len(data))
        return data
