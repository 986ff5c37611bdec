"""Wire faults: each does what its name says, to single replies, the same in every rehearsal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from qlab.clock import SteppedClock
from qlab.errors import TwinError
from qlab.twin.faults import DROP, WIRE_FAULTS, FaultFilter, Piece, WireFault, WireFaultKind
from qlab.twin.host import TwinHost
from qlab.twin.scpi import ScpiTwin

if TYPE_CHECKING:
    from qlab.twin.mount_memory import MemoryMount
    from tests.twin.conftest import LampTwin

RIGHT = b"Acme,Lamp,0001,1.0\n"


@pytest.fixture
def mount(host: TwinHost, lamp: LampTwin) -> MemoryMount:
    mount = host.mount_memory(lamp, "lamp")
    mount.plug()
    return mount


def ask(mount: MemoryMount, command: bytes = b"*IDN?\n") -> bytes:
    mount.write(command)
    return mount.read(1 << 20)


def ask_with(mount: MemoryMount, fault: WireFault) -> bytes:
    mount.faults.arm(fault)
    return ask(mount)


def test_silent_loses_the_reply_and_only_that(mount: MemoryMount) -> None:
    assert ask_with(mount, WireFault("silent")) == b""
    assert ask(mount) == RIGHT


def test_a_fault_hits_one_reply_of_several_in_one_segment(mount: MemoryMount) -> None:
    mount.faults.arm(WireFault("silent"))
    assert ask(mount, b"*IDN?\n*ESE?\nLEV?\n") == b"0\n1.000\n"


def test_late_is_late_and_is_not_overtaken(mount: MemoryMount, clock: SteppedClock) -> None:
    assert ask_with(mount, WireFault("late", delay_s=3.0)) == b""
    assert ask(mount, b"LEV?\n") == b""
    assert (mount.emitted, mount.busy) == (0, False)
    clock.sleep(2.9)
    assert mount.read(100) == b""
    clock.sleep(0.1)
    assert mount.read(100) == RIGHT + b"1.000\n"
    assert mount.emitted == len(RIGHT) + 6


def test_split_gives_the_same_bytes_in_pieces(mount: MemoryMount, clock: SteppedClock) -> None:
    pieces = [ask_with(mount, WireFault("split", delay_s=3.0))]
    for _ in range(60):
        clock.sleep(0.05)
        pieces.append(mount.read(100))
    parts = [piece for piece in pieces if piece]
    assert b"".join(parts) == RIGHT
    assert 2 <= len(parts) <= 4


def test_truncate_duplicate_noise(mount: MemoryMount) -> None:
    assert ask_with(mount, WireFault("truncate")) == RIGHT[:9]
    assert ask_with(mount, WireFault("duplicate")) == RIGHT + RIGHT
    noisy = ask_with(mount, WireFault("noise_prefix"))
    assert noisy.endswith(RIGHT)
    assert len(noisy) == len(RIGHT) + 4
    assert ask_with(mount, WireFault("noise_prefix", text="~~")) == b"~~" + RIGHT


def test_garble_changes_characters_and_keeps_length_and_end(mount: MemoryMount) -> None:
    garbled = ask_with(mount, WireFault("garble"))
    assert garbled != RIGHT
    assert len(garbled) == len(RIGHT)
    assert garbled.endswith(b"\n")


def test_wrong_identity_waits_for_the_identity_query(mount: MemoryMount) -> None:
    mount.faults.arm(WireFault("wrong_identity"))
    assert ask(mount, b"LEV?\n") == b"1.000\n"
    assert ask(mount) == b"ACME,Nothing like it,0,0\n"
    assert ask(mount) == RIGHT
    assert ask_with(mount, WireFault("wrong_identity", text="Other,Thing")) == b"Other,Thing\n"


def test_busy_takes_the_command_up_later(mount: MemoryMount, clock: SteppedClock, lamp: LampTwin) -> None:
    mount.faults.arm(WireFault("busy", delay_s=2.0))
    mount.write(b"LEV 5\n")
    assert lamp.level == 1.0
    clock.sleep(2.0)
    assert lamp.level == 5.0


def test_busy_with_words_and_error_leave_the_command_undone(mount: MemoryMount, lamp: LampTwin) -> None:
    mount.faults.arm(WireFault("busy", text="not now"))
    assert ask(mount, b"LEV 5\n") == b"not now\n"
    mount.faults.arm(WireFault("error", match="LEV"))
    assert ask(mount, b"*ESE?;LEV 5\n") == b""
    assert ask(mount, b"SYST:ERR?\n") == b'-200,"Execution error"\n'
    assert lamp.level == 1.0


def test_drop_closes_the_connection_and_a_new_one_works(mount: MemoryMount) -> None:
    mount.faults.arm(WireFault("drop"))
    mount.write(b"*IDN?\n")
    with pytest.raises(ConnectionResetError):
        mount.read(100)
    with pytest.raises(BrokenPipeError):
        mount.write(b"*IDN?\n")
    mount.plug()
    assert ask(mount) == RIGHT


def test_refuse_lasts_until_it_is_cleared(mount: MemoryMount) -> None:
    mount.faults.arm(WireFault("refuse"))
    with pytest.raises(ConnectionResetError):
        mount.read(100)
    for _ in range(2):
        with pytest.raises(ConnectionRefusedError):
            mount.plug()
    mount.faults.clear("refuse")
    mount.plug()
    assert ask(mount) == RIGHT


def test_a_fault_waits_for_its_command_and_counts(mount: MemoryMount) -> None:
    mount.faults.arm(WireFault("silent", count=2, match="(?i)^lev"))
    assert ask(mount) == RIGHT
    assert [ask(mount, b"LEV?\n") for _ in range(3)] == [b"", b"", b"1.000\n"]
    assert mount.faults.hits == 2
    mount.faults.arm(WireFault("silent", count=None, match=b"LEV"))
    assert [ask(mount, b"LEV?\n") for _ in range(3)] == [b"", b"", b""]
    assert mount.faults.describe()[0]["hits"] == 3
    mount.faults.clear()
    assert ask(mount, b"LEV?\n") == b"1.000\n"
    assert mount.faults.describe() == []


def test_several_faults_add_up(mount: MemoryMount, clock: SteppedClock) -> None:
    mount.faults.arm(WireFault("duplicate"))
    mount.faults.arm(WireFault("late", delay_s=1.0))
    assert ask(mount) == b""
    clock.sleep(1.0)
    assert mount.read(100) == RIGHT  # the second copy is late as well, and behind the first
    clock.sleep(1.0)
    assert mount.read(100) == RIGHT


def pattern(seed: int, name: str = "lamp") -> list[bool]:
    with SteppedClock() as clock, TwinHost(clock, seed=seed) as host:
        mount = host.mount_memory(ScpiTwin(clock), name)
        mount.plug()
        mount.faults.arm(WireFault("silent", count=None, probability=0.5))
        return [ask(mount) == b"" for _ in range(64)]


def test_chance_depends_on_seed_and_name_and_on_nothing_else() -> None:
    first = pattern(1)
    assert pattern(1) == first
    assert pattern(2) != first != pattern(1, "other")
    # 64 tosses of a fair coin: fewer than 14 or more than 50 of a kind happen in 4 of a million (binomial, 4.5 sigma)
    assert 14 <= sum(first) <= 50


def test_a_conversation_that_does_not_tell_its_messages_still_has_faults(host: TwinHost, clock: SteppedClock) -> None:
    mount = host.mount_memory(PlainTwin(), "plain")
    mount.plug()
    assert ask(mount, b"a\n") == b"A\n"
    mount.faults.arm(WireFault("silent", match="b"))
    assert [ask(mount, b"a\n"), ask(mount, b"b\n"), ask(mount, b"b\n")] == [b"A\n", b"", b"B\n"]
    mount.faults.arm(WireFault("busy", delay_s=1.0))
    assert ask(mount, b"c\n") == b""
    clock.sleep(1.0)
    assert mount.read(10) == b"C\n"
    mount.faults.arm(WireFault("error", text="OUCH"))
    assert ask(mount, b"d\n") == b"OUCH\n"
    mount.faults.arm(WireFault("error"))
    assert ask(mount, b"d\n") == b""
    mount.faults.arm(WireFault("wrong_identity"))
    assert [ask(mount, b"d\n"), ask(mount, b"idn?\n")] == [b"D\n", b"ACME,Nothing like it,0,0\n"]


class PlainTwin:
    """A twin that speaks for itself."""

    def connect(self) -> PlainConversation:
        return PlainConversation()

    def reset_power(self) -> None:
        pass


class PlainConversation:
    def receive(self, data: bytes) -> bytes:
        return data.upper()

    def due_ps(self) -> int | None:
        return None

    def wake(self) -> bytes:
        return b""

    def close(self) -> None:
        pass


@pytest.mark.parametrize("kind", WIRE_FAULTS)
def test_a_one_byte_reply_survives_every_fault(kind: WireFaultKind) -> None:
    filter_ = FaultFilter()
    filter_.arm(WireFault(kind))
    pieces = filter_.spoil(b"id?", b"\n")
    assert pieces == [DROP] if kind == "drop" else all(piece.delay_s >= 0 for piece in pieces)


def test_a_wire_of_whole_frames_does_not_tear_them() -> None:
    filter_ = FaultFilter(whole_frames=True)
    filter_.arm(WireFault("split", delay_s=0.5))
    assert filter_.spoil(b"a", b"reply") == [Piece(b"reply", 0.5)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "nonsense"},
        {"kind": "late", "delay_s": -1.0},
        {"kind": "late", "delay_s": float("nan")},
        {"kind": "silent", "count": 0},
        {"kind": "silent", "probability": 1.5},
        {"kind": "silent", "match": "("},
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(TwinError):
        WireFault(**wrong)  # type: ignore[arg-type]
