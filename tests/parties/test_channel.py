"""The channel of two parties over real sockets: bad connections, restarts, silence, TLS."""

from __future__ import annotations

import asyncio
import dataclasses
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from qlab.errors import BadRequestError, KeyRefusedError, PeerError
from qlab.parties.channel import PartyChannel, PeerRestartedError, parse_place
from qlab.parties.commands import tls_context
from qlab.parties.driving import hold_conversation
from qlab.parties.impairments import Impairments
from qlab.qkd.conversation import HEAR, Conversation

if TYPE_CHECKING:
    from pathlib import Path

KEY = bytes(range(32))
BAD = Impairments(latency_s=0.001, jitter_s=0.004, loss=0.1, repeat=0.1, damage=0.1, break_every=40, seed=5)


def alice(**more: Any) -> PartyChannel:
    return PartyChannel("reference", KEY, ("127.0.0.1", 0), **more)


def bob(port: int, **more: Any) -> PartyChannel:
    return PartyChannel("corrector", KEY, ("127.0.0.1", port), **more)


def test_everything_arrives_once_and_in_order_over_a_bad_channel() -> None:
    async def main() -> tuple[int, int]:
        worse = dataclasses.replace(BAD, seed=6)
        async with alice(impairments=BAD) as a, bob(a.port, impairments=worse) as b:
            said = [bytes([n]) * (1 + 997 * n) for n in range(80)]
            for message in said:
                await a.say(message)
                await b.say(message[::-1])
            assert [await b.hear(20.0) for _ in said] == said
            assert [await a.hear(20.0) for _ in said] == [m[::-1] for m in said]
            return b.connections, a.link.counts.not_genuine

    connections, damaged = asyncio.run(main())
    assert connections > 1
    assert damaged > 0


def test_a_silent_peer_is_given_up_and_so_is_one_that_was_started_again() -> None:
    def listens() -> Conversation[str]:
        try:
            yield HEAR
        except PeerError as error:
            yield b"I give up"
            return str(error)
        return ""

    def fails() -> Conversation[None]:
        yield lambda: 1
        msg = "no key"
        raise KeyRefusedError(msg)

    async def main() -> None:
        async with alice() as a:
            async with bob(a.port) as b:
                assert "said nothing for 0.05 s" in await hold_conversation(listens(), a, 0.05)
                assert await b.hear(5.0) == b"I give up"
            async with bob(a.port):
                with pytest.raises(PeerRestartedError):
                    await a.hear(5.0)
                with pytest.raises(KeyRefusedError):
                    await hold_conversation(fails(), a)

    asyncio.run(main())


def test_nobody_with_another_key_is_heard() -> None:
    async def main() -> None:
        async with alice() as a, PartyChannel("corrector", bytes(32), ("127.0.0.1", a.port)) as stranger:
            await stranger.say(b"hello")
            with pytest.raises(PeerError, match="said nothing"):
                await a.hear(0.1)
            assert a.link.counts.not_genuine > 0
            stranger.link._waiting.clear()

    asyncio.run(main())


def _certificate(folder: Path) -> tuple[Path, Path, Path]:
    key, certificate = folder / "party.key", folder / "party.pem"
    asked = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    command = ["openssl", *asked, "-subj", "/CN=party", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key, certificate


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_frames_go_through_tls(tmp_path: Path) -> None:
    files = _certificate(tmp_path)

    async def main() -> None:
        async with (
            alice(tls=tls_context("reference", files)) as a,
            bob(a.port, tls=tls_context("corrector", files)) as b,
        ):
            await b.say(b"hello")
            assert await a.hear(10.0) == b"hello"

    asyncio.run(main())
    with pytest.raises(BadRequestError, match="expected PEM files"):
        tls_context("reference", (tmp_path / "none", tmp_path / "none", tmp_path / "none"))


@pytest.mark.parametrize("text", ["loss", "loss=x", "lag_s=1", "loss=1.5", "latency_s=-1"])
def test_impossible_channels_are_refused(text: str) -> None:
    with pytest.raises(BadRequestError):
        Impairments.parse(text)


def test_places_are_host_and_port() -> None:
    assert parse_place("127.0.0.1:7440") == ("127.0.0.1", 7440)
    for text in ("7440", ":1", "host:", "host:99999", "host:x"):
        with pytest.raises(BadRequestError, match="expected HOST:PORT"):
            parse_place(text)
    assert Impairments.parse("latency_s=0.5,seed=3") == Impairments(latency_s=0.5, seed=3)
