"""What a mount does with twins that work by themselves, or badly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from qlab.clock import PS_PER_S
from qlab.errors import TwinError
from qlab.twin.faults import WireFault
from qlab.twin.host import TwinHost

if TYPE_CHECKING:
    from qlab.clock import SteppedClock
    from qlab.twin.session import Session


class BellTwin:
    """Says `ding` at the times it was told (in seconds), to every client; `stop` of one client stops all."""

    def __init__(self, clock: SteppedClock) -> None:
        self.clock = clock
        self.times_ps: list[int] = []
        self.stubborn = False
        self.worked_ps: list[int] = []
        self.work_ps: int | None = None

    def connect(self) -> BellConversation:
        return BellConversation(self)

    def reset_power(self) -> None:
        self.times_ps.clear()

    def background_due_ps(self) -> int | None:
        return self.work_ps

    def background(self) -> None:
        self.worked_ps.append(self.clock.now_ps())
        if not self.stubborn:
            self.work_ps = self.clock.now_ps() + PS_PER_S if len(self.worked_ps) < 3 else None


class BellConversation:
    def __init__(self, twin: BellTwin) -> None:
        self.twin = twin
        self.heard_ps = twin.clock.now_ps()

    def receive(self, data: bytes) -> bytes:
        now_ps = self.twin.clock.now_ps()
        if data == b"stop":
            self.twin.times_ps.clear()
        elif data == b"work":
            self.twin.work_ps = now_ps + PS_PER_S
        else:
            self.twin.times_ps.append(now_ps + int(data) * PS_PER_S)
        return b""

    def due_ps(self) -> int | None:
        return min((t_ps for t_ps in self.twin.times_ps if t_ps > self.heard_ps), default=None)

    def wake(self) -> bytes:
        if not self.twin.stubborn:
            self.heard_ps = self.twin.clock.now_ps()
        return b"ding"

    def close(self) -> None:
        pass


@pytest.fixture
def bell(clock: SteppedClock) -> BellTwin:
    return BellTwin(clock)


def test_a_command_of_one_client_moves_what_the_others_wait_for(
    host: TwinHost, clock: SteppedClock, bell: BellTwin
) -> None:
    mount = host.mount_memory(bell)
    mount.plug()
    watcher: list[bytes] = []

    def watch(session: Session) -> None:
        watcher.extend(session.outbox)
        session.outbox.clear()

    session = mount.begin(bell, watch, mount.end)
    mount.write(b"5")
    mount.write(b"2")
    clock.sleep(2.0)
    assert (mount.read(10), watcher) == (b"ding", [b"ding"])
    mount.write(b"stop")
    clock.sleep(10.0)
    assert (mount.read(10), watcher) == (b"", [b"ding"])
    mount.end(session)


def test_a_twin_works_on_without_clients_and_not_without_power(
    host: TwinHost, clock: SteppedClock, bell: BellTwin
) -> None:
    mount = host.mount_memory(bell)
    mount.plug()
    mount.write(b"work")
    mount.unplug()
    clock.sleep(1.5)
    assert bell.worked_ps == [PS_PER_S]
    mount.power_off()
    clock.sleep(5.0)
    assert len(bell.worked_ps) == 1
    bell.work_ps = clock.now_ps() + PS_PER_S
    mount.power_on()
    clock.sleep(10.0)
    assert len(bell.worked_ps) == 3


def test_a_twin_that_never_gets_done_is_stopped_and_reported(clock: SteppedClock, bell: BellTwin) -> None:
    bell.stubborn = True
    host = TwinHost(clock)
    mount = host.mount_memory(bell, "bell")
    mount.plug()
    mount.write(b"1")
    clock.sleep(2.0)
    bell.times_ps.clear()
    mount.write(b"work")
    clock.sleep(2.0)
    assert [failure.partition(" asks ")[2].partition(" at ")[0] for failure in host.failures] == [
        "to be woken",
        "for background work",
    ]
    with pytest.raises(TwinError, match="bell: TwinError: BellTwin asks to be woken"):
        host.close()


def test_a_late_wake_up_is_served_at_once(host: TwinHost, clock: SteppedClock, bell: BellTwin) -> None:
    bell.times_ps.append(PS_PER_S)
    mount = host.mount_memory(bell)
    mount.plug()
    clock.sleep(1.0)
    assert mount.read(10) == b"ding"


def test_what_waits_for_lab_time_is_lost_with_the_connection(
    host: TwinHost, clock: SteppedClock, bell: BellTwin
) -> None:
    mount = host.mount_memory(bell)
    mount.plug()
    mount.faults.arm(WireFault("late", delay_s=3.0))
    mount.write(b"1")
    clock.sleep(2.0)
    mount.plug()
    clock.sleep(5.0)
    assert (mount.read(10), mount.emitted) == (b"", 0)


def test_closing_twice_and_using_a_closed_mount_do_no_harm(host: TwinHost, clock: SteppedClock, bell: BellTwin) -> None:
    mount = host.mount_memory(bell, "bell")
    mount.close()
    mount.close()
    mount.faults.arm(WireFault("refuse"))
    with pytest.raises(ConnectionRefusedError):
        mount.plug()
    with pytest.raises(BrokenPipeError):
        mount.write(b"1")
    assert host.mount_memory(bell, "bell").reachable
