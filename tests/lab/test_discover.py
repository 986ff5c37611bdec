"""`qlab discover` finds who is at an address, whatever they speak, and says what a lab file would say."""

from __future__ import annotations

import socket
from contextlib import ExitStack, suppress
from threading import Thread
from typing import TYPE_CHECKING

import pytest
import yaml

from qlab import cli
from qlab.clock import RealClock
from qlab.lab.build import open_lab
from qlab.lab.discover import Found, addresses, discover, suggest
from qlab.lab.models import InstrumentModel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CLASSES = {
    "meter": "devices.power.thorlabs_pm100d.PM100D",
    "cryo": "devices.cryogenics.lakeshore_336.LakeShore336",
    "oven": "devices.sources.thorlabs_tc200.TC200",
    "mount": "devices.polarisation.thorlabs_k10cr1.K10CR1",
    "tagger": "devices.taggers.idquantique_id900.ID900",
}


@pytest.fixture
def places(tmp_path: Path) -> object:
    path = tmp_path / "there.yaml"
    lines = "".join(f"  {name}: {{class: {cls}, address: twin}}\n" for name, cls in CLASSES.items())
    path.write_text(f"qlab: 1\nname: there\ninstruments:\n{lines}")
    with open_lab(str(path), data_dir=tmp_path, clock=RealClock(), connect=False) as lab:
        yield {name: lab.mounts[name].address for name in CLASSES}


def test_every_instrument_is_found_by_its_class(places: dict[str, str]) -> None:
    found = list(discover([Found(address) for address in places.values()], serial=True, timeout_s=0.2))
    assert [each.class_name for each in found] == list(CLASSES.values())
    assert all(each.identity for each in found)
    entries = yaml.safe_load(suggest(found))["instruments"]
    for (name, entry), address in zip(entries.items(), places.values(), strict=True):
        assert InstrumentModel.model_validate(entry).address == address
        assert name.isidentifier()


def test_a_serial_port_is_not_asked_unless_a_person_says_so(places: dict[str, str]) -> None:
    (found,) = discover([Found(places["oven"], "some port")])
    assert found == Found(places["oven"], "some port")
    assert str(found) == f"{places['oven']}: not asked (some port)"


def half(peer: socket.socket) -> None:
    while peer.recv(100):
        peer.sendall(b"Acme,Half")


def binary(peer: socket.socket) -> None:
    while peer.recv(100):
        peer.sendall(b"\xff\xfe\x80\n")


def closing(peer: socket.socket) -> None:
    del peer


def silent(peer: socket.socket) -> None:
    while peer.recv(100):
        pass


def unknown(peer: socket.socket) -> None:
    while peer.recv(100):
        peer.sendall(b"Acme,Thing,1,2\n")


def endless(peer: socket.socket) -> None:
    while True:
        peer.sendall(b"x" * 65536)


@pytest.fixture
def odd() -> Iterator[Callable[..., str]]:
    """Put somebody who is no instrument of ours behind an address."""
    with ExitStack() as stack:

        def put(behaviour: Callable[[socket.socket], None]) -> str:
            server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

            def serve() -> None:
                with suppress(OSError):
                    while True:
                        peer, _ = server.accept()
                        with peer, suppress(OSError):
                            behaviour(peer)

            Thread(target=serve, daemon=True).start()
            stack.callback(server.shutdown, socket.SHUT_RDWR)
            return f"TCPIP0::127.0.0.1::{server.getsockname()[1]}::SOCKET"

        yield put


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (half, "answers, but with no identity: b'Acme,Half'"),
        (binary, "answers, but with no identity: b'\\xff\\xfe\\x80'"),
        (closing, "the instrument closed the connection"),
        (silent, "nobody answers"),
        (unknown, "Acme,Thing,1,2 - no driver here knows it"),
        (endless, "answers, but with no identity: b'xxxx"),
    ],
)
def test_somebody_else_there_is_told_as_what_he_is(
    odd: Callable[..., str], behaviour: Callable[[socket.socket], None], words: str
) -> None:
    address = odd(behaviour)
    (found,) = discover([Found(address)], timeout_s=0.1)
    assert str(found).startswith(f"{address}: ")
    assert words in str(found)
    assert suggest([found]) == ""


def test_the_command_says_what_it_finds_one_after_the_other(
    places: dict[str, str], odd: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    stranger = odd(unknown)
    assert cli.main(["discover", places["meter"], stranger]) == 0
    out = capsys.readouterr().out
    assert f"  {places['meter']}: Thorlabs,PM100D" in out
    assert "no driver here knows it" in out
    assert list(yaml.safe_load(out.partition("for a lab file:")[2])["instruments"]) == ["pm100d"]


def test_nobody_there_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["discover", "TCPIP0::127.0.0.1::1::SOCKET"]) == 0
    assert "cannot be reached" in capsys.readouterr().out
    assert cli.main(["discover", "nonsense"]) == 2
    assert "of no known form" in capsys.readouterr().err


def test_two_of_a_kind_get_two_names() -> None:
    both = [Found(f"TCPIP0::10.0.0.{n}::5025::SOCKET", "", "x", CLASSES["meter"]) for n in (1, 2)]
    assert list(yaml.safe_load(suggest(both))["instruments"]) == ["pm100d", "pm100d_2"]
    assert suggest([Found("COM3")]) == ""


def test_the_system_is_asked_without_disturbing_anybody(capsys: pytest.CaptureFixture[str]) -> None:
    assert all(not each.identity for each in addresses())
    assert cli.main(["discover"]) == 0
    assert capsys.readouterr().out.strip()
