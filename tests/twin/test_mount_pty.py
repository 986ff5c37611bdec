"""Pty mounts with clients written by hand on the terminal's file descriptor."""

from __future__ import annotations

import errno
import os
import select
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import serial

from qlab.errors import TwinError
from qlab.twin.faults import WireFault
from qlab.twin.mount_pty import _BACKLOG

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from qlab.clock import SteppedClock
    from qlab.twin.host import TwinHost
    from qlab.twin.mount import Mount
    from tests.twin.conftest import LampTwin

RIGHT = b"Acme,Lamp,0001,1.0\n"


@pytest.fixture
def plug() -> Iterator[Callable[[str], int]]:
    """Open a terminal without changing its settings, as `os.open` does."""
    opened: list[int] = []

    def plug(path: str) -> int:
        opened.append(os.open(path, os.O_RDWR | os.O_NOCTTY))
        return opened[-1]

    yield plug
    for fd in opened:
        os.close(fd)


def line(fd: int) -> bytes:
    data = b""
    while not data.endswith(b"\n"):
        ready, _, _ = select.select([fd], [], [], 5.0)
        assert ready, f"nothing came behind {data!r}"
        data += os.read(fd, 1)
    return data


def ended(fd: int) -> bool:
    """Read to the end of a terminal that was unplugged: an end of file or errno 5, as the kernel likes."""
    try:
        while os.read(fd, 100):
            pass
    except OSError as error:
        return error.errno == errno.EIO
    return True


def test_the_terminal_is_raw_and_lives_behind_a_symlink(
    host: TwinHost, lamp: LampTwin, plug: Callable[[str], int]
) -> None:
    mount = host.mount_pty(lamp, name="lamp")
    assert Path(mount.address).is_symlink()
    fd = plug(mount.address)
    os.write(fd, b"LEV 3\r\nLEV?\n*ID")  # carriage returns and echo stay untouched
    assert line(fd) == b"3.000\n"
    os.write(fd, b"N?\n")
    assert line(fd) == RIGHT
    assert mount.emitted == 6 + len(RIGHT)


def test_clients_may_come_and_go(host: TwinHost, lamp: LampTwin, tmp_path: Path) -> None:
    mount = host.mount_pty(lamp, tmp_path / "lamp")
    for _ in range(3):
        with serial.Serial(mount.address, 115200, timeout=5) as port:
            port.write(b"*IDN?\n")
            assert port.readline() == RIGHT
    assert mount.connections == 1


def test_a_reply_longer_than_the_terminals_buffer_never_blocks_the_others(
    host: TwinHost, lamp: LampTwin, make_lamp: Callable[[SteppedClock], LampTwin], plug: Callable[[str], int]
) -> None:
    mount = host.mount_pty(lamp, name="slow reader")
    other = host.mount_pty(make_lamp(host.clock), name="other")  # type: ignore[arg-type]
    fd, quick = plug(mount.address), plug(other.address)
    os.write(fd, b"LONG?\n")
    os.write(quick, b"*IDN?\n")
    assert line(quick) == RIGHT
    data = b""
    while not data.endswith(b"\n"):
        data += os.read(fd, 1 << 16)
    assert len(data) == 300_001


def test_what_nobody_reads_is_lost_in_the_end(
    host: TwinHost, lamp: LampTwin, plug: Callable[[str], int], settled: Callable[[Mount, int], None]
) -> None:
    mount = host.mount_pty(lamp)
    mount.backlog = 1 << 20
    fd = plug(mount.address)
    asked = _BACKLOG // 300_001 + 8
    os.write(fd, b"LONG?\n" * asked)
    settled(mount, 6 * asked)
    assert mount.emitted == asked * 300_001
    assert mount.lost > 1_000_000


def test_a_slow_reader_loses_nothing_of_a_long_stream(
    host: TwinHost, lamp: LampTwin, plug: Callable[[str], int], settled: Callable[[Mount, int], None]
) -> None:
    mount = host.mount_pty(lamp)
    fd = plug(mount.address)
    os.write(fd, b"LONG?\n" * 20)  # 6 MB before anybody reads
    settled(mount, 120)
    taken = 0
    while taken < 20 * 300_001:
        taken += len(os.read(fd, 1 << 16))
    assert (taken, mount.lost) == (20 * 300_001, 0)


def test_a_power_cycle_ends_the_terminal_and_keeps_the_name(
    host: TwinHost, lamp: LampTwin, clock: SteppedClock, tmp_path: Path, plug: Callable[[str], int]
) -> None:
    mount = host.mount_pty(lamp, tmp_path / "lamp")
    with serial.Serial(mount.address, timeout=5) as port:
        port.write(b"LEV 3;LEV?\n")
        assert port.readline() == b"3.000\n"
        before = Path(mount.address).readlink()
        mount.power_off()
        assert not os.path.lexists(mount.address)
        with pytest.raises((serial.SerialException, OSError)):
            port.write(b"LEV?\n")
        mount.power_on(boot_s=5.0)
        clock.sleep(4.9)
        with pytest.raises(FileNotFoundError):
            plug(mount.address)
        clock.sleep(0.2)
        assert Path(mount.address).readlink() != before  # the old number is still held by the old client
    fd = plug(mount.address)
    os.write(fd, b"LEV?\n")
    assert line(fd) == b"1.000\n"


def test_late_replies_come_through_the_terminal(
    host: TwinHost,
    lamp: LampTwin,
    clock: SteppedClock,
    plug: Callable[[str], int],
    settled: Callable[[Mount, int], None],
) -> None:
    mount = host.mount_pty(lamp)
    fd = plug(mount.address)
    os.write(fd, b"SLOW?\n")
    settled(mount, 6)
    assert mount.emitted == 0
    clock.sleep(2.0)
    assert mount.emitted == 12
    assert line(fd) == b"done at 2 s\n"


def test_drop_replugs_and_refuse_hides_the_terminal(host: TwinHost, lamp: LampTwin, plug: Callable[[str], int]) -> None:
    mount = host.mount_pty(lamp)
    fd = plug(mount.address)
    mount.faults.arm(WireFault("drop"))
    os.write(fd, b"LEV 3;LEV?\n")
    assert ended(fd)
    mount.faults.arm(WireFault("refuse"))
    with pytest.raises(FileNotFoundError):
        plug(mount.address)
    mount.faults.clear()
    fd = plug(mount.address)
    os.write(fd, b"LEV?\n")
    assert line(fd) == b"3.000\n"  # unplugging the cable is no power cycle


def test_a_file_in_the_way_is_left_alone(host: TwinHost, lamp: LampTwin, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("precious")
    with pytest.raises(TwinError, match="is not a symlink"):
        host.mount_pty(lamp, tmp_path / "data")
    assert (tmp_path / "data").read_text() == "precious"
    (tmp_path / "stale").symlink_to("/dev/pts/999999")
    assert host.mount_pty(lamp, tmp_path / "stale").reachable
    with pytest.raises(TwinError, match="cannot be mounted"):
        host.mount_pty(lamp, tmp_path / "no folder" / "lamp")


def test_closing_removes_symlink_and_folder(host: TwinHost, lamp: LampTwin) -> None:
    mount = host.mount_pty(lamp)
    folder = Path(mount.address).parent
    host.close()
    assert not folder.exists()
