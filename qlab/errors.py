"""One tree of errors; every message says what failed, on which device and command, what came back and what to do."""

from __future__ import annotations

__all__ = [
    "BadReplyError",
    "BadRequestError",
    "ClockError",
    "InstrumentError",
    "InterlockError",
    "KeyRefusedError",
    "LabFileError",
    "LedgerError",
    "LimitError",
    "LinkClosedError",
    "LinkError",
    "LinkTimeoutError",
    "PeerError",
    "PlanError",
    "QlabError",
    "StorageError",
    "TagFileError",
    "TooManyErrorsError",
    "TwinError",
    "WorldError",
    "WrongIdentityError",
]


class QlabError(Exception):
    """Base of everything qlab raises on purpose; the command line prints it without a traceback."""


class BadRequestError(QlabError, ValueError):
    """We asked for something impossible; nothing was sent."""


class LimitError(BadRequestError):
    """A value outside the limits of a signal; nothing was sent.

    Parameters
    ----------
    message:
        For a person.
    signal:
        Name of the signal within its device, where it is one.
    """

    def __init__(self, message: str, signal: str = "") -> None:
        super().__init__(message)
        self.signal = signal


class LabFileError(QlabError):
    """The lab file is wrong; the message names file and line."""


class ClockError(QlabError):
    """Lab time was asked to do something impossible, such as running backwards."""


class TagFileError(QlabError):
    """A file of time tags cannot be read further; the message says up to where it was sound."""


class StorageError(QlabError):
    """Data could not be written; what was written before stays readable."""


class TwinError(QlabError):
    """A twin was built or commanded wrongly."""


class WorldError(QlabError):
    """The simulated world was asked for something it cannot give."""


class PlanError(QlabError):
    """A plan's parameters or results make no sense."""


class PeerError(QlabError):
    """The other party of a key exchange sent what its protocol does not allow; the block is given up."""


class KeyRefusedError(QlabError):
    """No key comes out of a block; the message says which bound or check did not hold."""


class TooManyErrorsError(KeyRefusedError):
    """More errors than are tolerated; `rate` is what was found."""

    def __init__(self, message: str, rate: float) -> None:
        super().__init__(message)
        self.rate = rate


class LedgerError(QlabError):
    """The ledger of key material does not allow it, or is damaged; no key is used."""


class _DeviceError(QlabError):
    """An error of one device: the message is built from what a person needs to know at 2 a.m."""

    def __init__(
        self,
        what: str,
        *,
        device: str,
        command: str | bytes | None = None,
        found: str | bytes | None = None,
        expected: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.what = what
        self.device = device
        self.command = command
        self.found = found
        self.expected = expected
        self.hint = hint
        parts = [f"{device}: {what}"]
        if command is not None:
            parts.append(f"command {command!r}")
        if found is not None:
            parts.append(f"found {found!r}")
        if expected is not None:
            parts.append(f"expected {expected}")
        if hint is not None:
            parts.append(hint)
        super().__init__("; ".join(parts))


class LinkError(_DeviceError):
    """The byte channel to an instrument failed."""


class LinkTimeoutError(LinkError):
    """No complete reply came in time; the link resynchronises before it believes another byte."""


class LinkClosedError(LinkError):
    """The connection was refused or lost."""


class WrongIdentityError(LinkError):
    """Another instrument answers at this address."""


class BadReplyError(LinkError):
    """The instrument sent something that its protocol does not allow."""


class InstrumentError(_DeviceError):
    """The instrument understood and reported an error."""


class InterlockError(InstrumentError):
    """A safety circuit keeps the output off."""
