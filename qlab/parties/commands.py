"""What `qlab qkd` does: either party of a lab as a process of its own, and the preshared key that both begin with."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from qlab.errors import BadRequestError, LabFileError
from qlab.lab.build import open_lab
from qlab.lab.load import load_lab
from qlab.parties.channel import PartyChannel, parse_place
from qlab.parties.impairments import Impairments
from qlab.parties.recordings import RecordedTags
from qlab.parties.rules import positions_of
from qlab.parties.session import PartySession, SessionResult
from qlab.parties.taggers import TaggerTags
from qlab.qkd.authentication import SLOT_BYTES
from qlab.qkd.frames import CHANNEL_KEY_BYTES
from qlab.qkd.ledger import KeyLedger
from qlab.twin.served_clock import ServedClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from qlab.lab.qkd_model import QkdModel
    from qlab.parties.taggers import TurningTags
    from qlab.qkd.authentication import Role

__all__ = ["PartyOptions", "open_ledger", "preshare", "run_party"]


@dataclass(frozen=True, slots=True)
class PartyOptions:
    """What the command line of a party says.

    Attributes
    ----------
    ledger, preshared:
        The ledger's folder; for a new one, the file with the preshared key.
    address:
        HOST:PORT instead of the lab file's.
    tags, bin_ps:
        A recording of this party's tags, instead of its tagger.
    blocks:
        So many blocks, with a key or without.
    channel:
        Impairments, as `Impairments.parse` reads them.
    control:
        Port of the control channel of served twins, whose stepped time passes while both parties wait for it.
    tls:
        Certificate, its key, and the authority that signed the peer's, as PEM files.
    """

    ledger: Path
    preshared: Path | None = None
    address: str | None = None
    tags: Path | None = None
    bin_ps: float | None = None
    blocks: int = 1
    channel: str = ""
    tls: tuple[Path, Path, Path] | None = None
    patience_s: float = 60.0
    control: int | None = None


def preshare(path: Path, slots: int) -> None:
    """Write a new preshared key for both parties, readable by the owner only.

    Raises
    ------
    BadRequestError
        Too few slots, or the file is there already.
    """
    if slots < 20:
        msg = f"{slots} slots: expected at least 20; a block spends 3 and refills them"
        raise BadRequestError(msg)
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(os.urandom(SLOT_BYTES * (slots + 1) + CHANNEL_KEY_BYTES))
    except OSError as error:
        msg = f"{path} cannot be written: {error.strerror}; a preshared key is never written over"
        raise BadRequestError(msg) from error


def open_ledger(folder: Path, preshared: Path | None) -> KeyLedger:
    """Open a ledger, or begin one with a preshared key; one that is there already is taken up."""
    if preshared is None or (folder / "ledger.log").exists():
        return KeyLedger(folder)
    try:
        secret = preshared.read_bytes()
    except OSError as error:
        msg = f"the preshared key {preshared} cannot be read: {error.strerror}; `qlab qkd preshare FILE` writes one"
        raise BadRequestError(msg) from error
    return KeyLedger(folder, secret)


def run_party(
    side: Literal["alice", "bob"],
    lab: str,
    overrides: Sequence[str],
    options: PartyOptions,
    say: Callable[[str], None],
) -> SessionResult:
    """Run one party until its blocks are made.

    Raises
    ------
    LabFileError
        The lab has no parties.
    BadRequestError
        An option makes no sense.
    PeerError, KeyRefusedError, LedgerError
        As `PartySession.run`.
    """
    loaded = load_lab(lab, overrides)
    model = loaded.lab.qkd
    if model is None:
        msg = f"{loaded.path} has no section 'qkd', which says who Alice and Bob are; see docs/qkd.md"
        raise LabFileError(msg)
    role: Role = "reference" if side == "alice" else "corrector"
    ledger = open_ledger(options.ledger, options.preshared)
    if options.tags is not None:
        tags = RecordedTags(options.tags, bin_ps=options.bin_ps, piece_s=model.piece_s)
        for echo in tags.echoes:
            say(f"input {echo.channel + 1} echoes after {echo.lag_ps} ps; {echo.count} echoes removed")
        return _serve(role, model, ledger, tags, options, say)
    with own_tagger(lab, overrides, side, options.control, options.patience_s) as tagger:
        return _serve(role, model, ledger, tagger, options, say)


def _serve(
    role: Role, model: QkdModel, ledger: KeyLedger, tags: TurningTags, options: PartyOptions, say: Callable[[str], None]
) -> SessionResult:
    """Make blocks over the channel."""
    session = PartySession(role, model, ledger, tags, say=say, patience_s=options.patience_s)

    async def main() -> SessionResult:
        place = parse_place(options.address or model.address)
        context = tls_context(role, options.tls) if options.tls is not None else None
        impairments = Impairments.parse(options.channel)
        async with PartyChannel(role, ledger.channel_key, place, tls=context, impairments=impairments) as channel:
            if role == "reference":
                say(f"listening at {place[0]}:{channel.port}")
            return await session.run(channel, blocks=options.blocks)

    return asyncio.run(main())


@contextmanager
def own_tagger(
    lab: str,
    overrides: Sequence[str],
    side: Literal["alice", "bob"],
    control: int | None,
    patience_s: float = 60.0,
) -> Iterator[TaggerTags]:
    """Connect this party's tagger, and for Alice the source of photons, which is switched on; nothing of the peer's.

    Raises
    ------
    BadRequestError
        The lab's twins would live in this process alone, where the peer cannot meet them.
    """
    with ExitStack() as ends:
        clock = ServedClock(control, side, timeout_s=patience_s) if control is not None else None
        opened = ends.enter_context(open_lab(lab, overrides=overrides, clock=clock, connect=False))
        model = opened.file.qkd
        if model is None or opened.host is not None:
            msg = (
                f"{opened.path}: both parties must meet the same photons, and twins of this process are its own; serve them: "
                "qlab twin serve LAB --write served.yaml, then qlab qkd ... served.yaml; or name a recording: --tags FILE"
            )
            raise BadRequestError(msg)
        party = model.alice if side == "alice" else model.bob
        if side == "alice" and model.source is not None:
            light = opened.devices[model.source]
            light.connect()
            ends.callback(light.guard, light.make_safe)
            light.switch_on().wait()
        tagger = opened.devices[party.tagger]
        tagger.connect()
        mount = None
        if party.choice is not None:
            mount = opened.devices[party.choice.mount]
            mount.connect()
        yield TaggerTags(tagger, model.piece_s, clock, mount, positions_of(model, party))


def tls_context(role: Role, files: tuple[Path, Path, Path]) -> ssl.SSLContext:
    """Return a context in which both sides show certificates of one authority.

    Raises
    ------
    BadRequestError
        A file cannot be used.
    """
    certificate, key, authority = files
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if role == "reference" else ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False  # the certificate stands for the party, wherever it is
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_cert_chain(certificate, key)
        context.load_verify_locations(authority)
    except (OSError, ssl.SSLError) as error:
        msg = (
            f"TLS with {certificate}, {key}, {authority}: {error}; expected PEM files of certificate, key and authority"
        )
        raise BadRequestError(msg) from error
    return context


def statements_json(result: SessionResult) -> str:
    """Return what came of a session as JSON; nothing in it is secret."""
    blocks = []
    for one in result.statements:
        data = asdict(one)
        data |= {"net_bits": one.net_bits, "efficiency": one.efficiency}
        if one.assumptions is not None:
            data["assumptions"]["accepted"] = sorted(one.assumptions.accepted)
        blocks.append(data)
    return json.dumps({"key_bits": result.key_bits, "blocks": blocks, "failures": result.failures}, indent=2)
