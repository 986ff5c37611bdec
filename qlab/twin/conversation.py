"""The contract between a twin and its mount: bytes in, bytes out, and when to be woken.

======================  ==============================================================================
`Twin.connect()`        a client has connected (or the wire is there): one `Conversation` a connection
`receive(data)`         bytes came, in any split; returns the bytes to send now
`due_ps()`              lab time at which `wake()` wants to be called, or None
`wake()`                the time has come; returns the bytes to send now
`close()`               the client has gone
`Twin.reset_power()`    the instrument was switched off and on; the mount looks after the boot time
======================  ==============================================================================

Front-panel state belongs to the twin and is shared; half-received commands belong to the conversation.  A twin never
waits, never opens anything and never asks the wall clock.  The mount calls all of this under one lock.

Most twins need not write a conversation: `Dialogue` cuts messages with a framer and has each answered by a script, a
generator that yields the bytes to send and the lab times to wait for.

What a twin may offer beside, found by the mount when it is there:

- `peek() -> dict`: the front panel's state, for the control channel;
- `device_fault(name, **kw)`: arm a fault of the instrument itself;
- `Background`: work of its own in lab time, without a client (a recording that goes on);
- `Neighbour`: its next deed may depend on another twin's;
- `StreamUser`: output paths that a command opens on request (a tag stream on a port of its own);
- `MultiPort`: several ports, each a twin of its own;
- `Greeter` conversations: the instrument speaks first;
- `Attentive` conversations (every `Dialogue` is one): say which bytes answer which message, so that wire faults hit
  single replies, and decline as busy or with an error in the instrument's own words.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

from qlab.clock import PS_PER_S

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from qlab.clock import Clock

__all__ = [
    "Attentive",
    "Background",
    "Conversation",
    "Dialogue",
    "Framer",
    "Gate",
    "Greeter",
    "Later",
    "MultiPort",
    "Neighbour",
    "OutputStream",
    "Refusal",
    "Script",
    "Speaker",
    "StreamOpener",
    "StreamUser",
    "Twin",
]

Script: TypeAlias = "Generator[bytes | int, None, None]"
"""One answer in the making: yields bytes to send, or a lab time in ps to wait for."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a message is not carried out now: taken up after `delay_s`, or answered with `text` and forgotten."""

    kind: str
    text: str = ""
    delay_s: float = 0.0


Gate: TypeAlias = "Callable[[bytes], Refusal | None]"
"""Given a message, returns None to let it pass."""


class Conversation(Protocol):
    """One connection to a twin."""

    def receive(self, data: bytes) -> bytes:
        """Take bytes as they come and return what to send now."""
        ...

    def due_ps(self) -> int | None:
        """Return the lab time at which `wake` wants to be called; after `wake` it lies in the future or is None."""
        ...

    def wake(self) -> bytes:
        """Do what is due and return what to send now."""
        ...

    def close(self) -> None:
        """Forget the client."""
        ...


@runtime_checkable
class Attentive(Protocol):
    """A conversation that knows its messages."""

    gate: Gate | None
    """Asked before each message; what it returns is answered instead of carrying the message out."""

    def exchanges(self) -> list[tuple[bytes, int]]:
        """Return each message answered since the last call with the length of its answer, in order."""
        ...


@runtime_checkable
class Greeter(Protocol):
    """A conversation in which the instrument speaks first."""

    def greeting(self) -> bytes:
        """Return what a new client is told, once, before it has said anything."""
        ...


@runtime_checkable
class Twin(Protocol):
    """A simulated instrument."""

    def connect(self) -> Conversation:
        """Begin a conversation with one client."""
        ...

    def reset_power(self) -> None:
        """Return the front panel to its power-on state; called when power goes and when it comes back."""
        ...


@runtime_checkable
class MultiPort(Protocol):
    """An instrument with several ports, each mounted on an address of its own.

    They share its power, except those whose names stand in an attribute `elsewhere`: programs on another machine.
    """

    def ports(self) -> Mapping[str, Twin]:
        """Return a twin for each port by name; the first is the instrument's main address."""
        ...


@runtime_checkable
class Background(Protocol):
    """A twin that works on without a client, as a tagger that records."""

    def background_due_ps(self) -> int | None:
        """Return the lab time at which `background` wants to be called; afterwards it lies in the future or is None."""
        ...

    def background(self) -> None:
        """Do what is due."""
        ...


@runtime_checkable
class Neighbour(Protocol):
    """A twin whose next deed may depend on what another twin does, as that of two repeater modules at one midpoint."""

    def attach_alarm(self, look_again: Callable[[], None]) -> None:
        """Learn whom to tell that `background_due_ps` has changed; called once by the mount."""
        ...


class OutputStream(Protocol):
    """A path from the twin to one client, message by message."""

    @property
    def port(self) -> int:
        """The port number that it was bound to."""
        ...

    def send(self, message: bytes) -> None:
        """Queue a message; never blocks.  What no client has fetched beyond a generous limit is lost."""
        ...

    def close(self) -> None:
        """Unbind the path."""
        ...


class StreamOpener(Protocol):
    """What the mount lends to a twin that opens output paths on request."""

    def open_stream(self, port: int) -> OutputStream:
        """Bind an output path to `port` (0: any free one); raises `TwinError` where the port is taken."""
        ...


@runtime_checkable
class StreamUser(Protocol):
    """A twin that opens output paths."""

    def attach_streams(self, opener: StreamOpener) -> None:
        """Learn where paths are opened; called once by the mount, before any client connects."""
        ...


@dataclass(frozen=True, slots=True)
class Later:
    """A reply that comes after `seconds` of lab time; later commands of the same client wait for it."""

    seconds: float
    reply: Callable[[], str | None]


class Framer(Protocol):
    """Something that cuts a byte stream into messages."""

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes and return the messages that they complete."""
        ...


class Speaker(Protocol):
    """What a `Dialogue` asks of its twin."""

    def answer(self, message: bytes) -> Script:
        """Carry out one message."""
        ...

    def refuse(self, message: bytes, kind: str, text: str) -> bytes:
        """Answer one message as "busy" or with an error instead of carrying it out."""
        ...


class Dialogue:
    """A conversation in turns: a message that must wait lets the messages behind it wait, as an input buffer does.

    Parameters
    ----------
    speaker:
        Answers the messages.
    framer:
        Cuts them from the stream.
    clock:
        The lab's clock.
    """

    def __init__(self, speaker: Speaker, framer: Framer, clock: Clock) -> None:
        self.gate: Gate | None = None
        self._speaker = speaker
        self._framer = framer
        self._clock = clock
        self._messages: deque[bytes] = deque()
        self._message = b""
        self._script: Script | None = None
        self._due_ps: int | None = None
        self._exchanges: list[tuple[bytes, int]] = []

    def receive(self, data: bytes) -> bytes:
        """Take bytes and return the answers that are ready."""
        self._messages.extend(self._framer.feed(data))
        return self._run()

    def due_ps(self) -> int | None:
        """Return until when the current answer waits."""
        return self._due_ps

    def wake(self) -> bytes:
        """Go on with the answer that waited, and with what waited behind it."""
        return self._run()

    def exchanges(self) -> list[tuple[bytes, int]]:
        """Return each message answered since the last call with the length of its answer, in order."""
        done, self._exchanges = self._exchanges, []
        return done

    def close(self) -> None:
        """Drop what was not answered."""
        self._messages.clear()
        self._due_ps = None
        if self._script is not None:
            self._script.close()
            self._script = None

    def _run(self) -> bytes:
        if self._due_ps is not None and self._clock.now_ps() < self._due_ps:
            return b""
        self._due_ps = None
        out = bytearray()
        while self._script is not None or self._messages:
            start = len(out)
            finished = self._turn(out)
            if len(out) > start:
                self._exchanges.append((self._message, len(out) - start))
            if not finished:
                break
        return bytes(out)

    def _turn(self, out: bytearray) -> bool:
        """Carry the current message on, or begin the next; tell whether it is answered and need not wait."""
        if self._script is None:
            self._message = self._messages.popleft()
            verdict = self.gate(self._message) if self.gate is not None else None
            self._script = self._speaker.answer(self._message) if verdict is None else self._decline(verdict)
        for step in self._script:
            if isinstance(step, bytes):
                out += step
            elif step > self._clock.now_ps():
                self._due_ps = step
                return False
        self._script = None
        return True

    def _decline(self, verdict: Refusal) -> Script:
        if verdict.delay_s > 0:
            yield self._clock.now_ps() + round(verdict.delay_s * PS_PER_S)
            yield from self._speaker.answer(self._message)
        else:
            yield self._speaker.refuse(self._message, verdict.kind, verdict.text)
