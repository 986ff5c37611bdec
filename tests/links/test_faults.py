"""Every wire fault on every kind of link: a clear error or a recovery, in time, and never a stale answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pyvisa

from qlab.clock import PS_PER_S
from qlab.errors import LinkClosedError, LinkError, LinkTimeoutError, WrongIdentityError
from qlab.links.policy import LinkPolicy
from qlab.twin.faults import WIRE_FAULTS, WireFault, WireFaultKind

from .conftest import KINDS, unsealed

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.links.link import Link
    from qlab.twin.mount import Mount

    Make = Callable[..., tuple[Mount, Link]]


def ask(link: Link, number: int) -> int | None:
    """Ask for a number; checks what holds whatever goes wrong, and returns None for an error."""
    begin_ps = link.clock.now_ps()
    try:
        answer = link.ask_value(f"ECHO? {number}", unsealed)
    except LinkError as error:
        assert error.device == "echo"  # noqa: PT017
        assert str(error).startswith("echo: ")  # noqa: PT017
        answer = None
    else:
        assert answer == number, "a stale answer"
    assert link.clock.now_ps() - begin_ps <= link.policy.limit_s() * PS_PER_S
    return answer


@pytest.mark.parametrize("fault", WIRE_FAULTS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_that_passes_is_recovered_from_and_no_answer_is_stale(
    kind: str, fault: WireFaultKind, make: Make
) -> None:
    mount, link = make(kind)
    with link:
        assert ask(link, 1) == 1

        mount.faults.arm(WireFault(fault))
        if fault == "wrong_identity":
            link.distrust()
        first = ask(link, 2)
        mount.faults.clear()

        # A twin that refuses does so until cleared; a wrong instrument on a socket is not asked again.
        assert (first is None) == (fault == "refuse" or (fault == "wrong_identity" and not link.drains))
        for number in range(3, 7):
            link.clock.sleep(0.7)
            assert ask(link, number) == number
        assert mount.faults.hits == (fault != "refuse")


@pytest.mark.parametrize("fault", WIRE_FAULTS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_that_stays_ends_in_an_error_within_the_limit_and_later_in_the_right_answer(
    kind: str, fault: WireFaultKind, make: Make
) -> None:
    mount, link = make(kind, LinkPolicy(timeout_s=0.5, reconnect_delay_s=0.1))
    with link:
        mount.faults.arm(WireFault(fault, count=None, delay_s=0.9))
        if fault == "wrong_identity":
            link.distrust()
        for number in range(1, 4):
            answer = ask(link, number)
            # A reply in pieces comes too late as a whole.  The second of two replies may be under way while the first
            # is taken for what it is, the right answer: it must only never answer the next question.
            assert answer is None or fault == "duplicate"
        mount.faults.clear()

        link.clock.sleep(5.0)
        for number in range(4, 7):
            assert ask(link, number) == number


@pytest.mark.parametrize("delay_s", [0.1 * n for n in range(1, 32, 2)])
@pytest.mark.parametrize("kind", KINDS)
def test_a_late_reply_never_shifts_the_answers_however_late(kind: str, delay_s: float, make: Make) -> None:
    mount, link = make(kind, LinkPolicy(timeout_s=0.5, reconnect_delay_s=0.1))
    with link:
        mount.faults.arm(WireFault("late", delay_s=delay_s))

        answers = [ask(link, number) for number in range(1, 12)]

        assert answers[-1] == 11
        if delay_s < 0.5:
            assert None not in answers


@pytest.mark.parametrize("kind", KINDS)
def test_late_replies_to_the_identity_query_too_never_shift_the_answers(kind: str, make: Make) -> None:
    mount, link = make(kind, LinkPolicy(timeout_s=0.5, reconnects=1, reconnect_delay_s=0.1))
    with link:
        mount.faults.arm(WireFault("late", count=5, delay_s=0.8))

        for number in range(1, 20):
            ask(link, number)

        assert ask(link, 20) == 20


@pytest.mark.parametrize("kind", KINDS)
def test_a_silent_instrument_gives_one_clear_error(kind: str, make: Make) -> None:
    mount, link = make(kind, LinkPolicy(timeout_s=1.0, retries=1))
    with link:
        mount.faults.arm(WireFault("silent", count=None, match="ECHO"))
        begin_ps = link.clock.now_ps()

        with pytest.raises(LinkTimeoutError, match="no complete reply within 1 s, tried 2 times") as caught:
            link.ask("ECHO? 1")

        # Two time-outs of 1 s, and on serial lines 0.2 s of silence before and behind the identity query.
        lasted_s = (link.clock.now_ps() - begin_ps) / PS_PER_S
        assert lasted_s == pytest.approx(2.4 if link.drains else 2.0, abs=0.05)
        assert "ECHO? 1" in str(caught.value)
        assert "switched on" in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_an_instrument_without_power_is_unreachable_and_comes_back_by_itself(kind: str, make: Make) -> None:
    mount, link = make(kind)
    with link:
        mount.power_off()
        with pytest.raises(LinkClosedError, match="cannot be reached at") as caught:
            link.ask("ECHO? 1")
        assert link.address in str(caught.value)
        assert "check address, cable and power" in str(caught.value)

        mount.power_on()

        assert ask(link, 2) == 2


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "udp"])
def test_a_power_cycle_between_two_queries_costs_nothing_but_a_reconnection(kind: str, make: Make) -> None:
    mount, link = make(kind)
    restored: list[str] = []
    link.restore = lambda link: restored.append(link.ask("ECHO? 7", retry=False))
    with link:
        assert restored == []

        mount.power_cycle()

        assert ask(link, 1) == 1
        assert [unsealed(reply) for reply in restored] == [7]
        assert link.openings == 2


def test_over_udp_a_power_cycle_is_noticed_only_where_something_was_asked_meanwhile(make: Make) -> None:
    mount, link = make("udp", LinkPolicy(reconnects=5, reconnect_delay_s=0.5))
    restored: list[str] = []
    link.restore = lambda link: restored.append(link.ask("ECHO? 7", retry=False))
    with link:
        mount.power_cycle()
        assert ask(link, 1) == 1
        assert (restored, link.openings) == ([], 1)

        mount.power_cycle(boot_s=1.0)
        assert ask(link, 2) == 2
        assert [unsealed(reply) for reply in restored] == [7]


@pytest.mark.parametrize("kind", KINDS)
def test_a_boot_is_waited_out_as_long_as_the_policy_says(kind: str, make: Make) -> None:
    mount, link = make(kind, LinkPolicy(reconnects=5, reconnect_delay_s=0.5))
    with link:
        mount.power_cycle(boot_s=2.0)

        assert ask(link, 1) == 1
        assert link.clock.now_ps() / PS_PER_S == pytest.approx(2.0, abs=0.8)


@pytest.mark.parametrize("kind", KINDS)
def test_another_instrument_at_the_address_is_refused(kind: str, make: Make) -> None:
    mount, link = make(kind)
    mount.faults.arm(WireFault("wrong_identity", count=None, text="Acme,Toaster,7,1"))

    with pytest.raises(WrongIdentityError, match="Acme,Toaster"):
        link.open()

    assert not link.is_open
    with pytest.raises(WrongIdentityError):
        link.ask("ECHO? 1")


def test_a_session_that_another_part_of_the_program_closed_is_opened_again(make: Make) -> None:
    _, link = make("visa")
    with link:
        assert ask(link, 1) == 1
        pyvisa.ResourceManager("@py").close()  # one manager serves the whole process
        assert ask(link, 2) == 2
        assert link.openings == 2
