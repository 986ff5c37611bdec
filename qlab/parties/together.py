"""Both parties in one process, for a plan that triggers both taggers: two sessions, two ledgers, a real channel between them.

Nothing here sees a key: each session keeps its own bits, and only statements come out.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

from qlab.errors import PeerError, QlabError
from qlab.parties.channel import PartyChannel
from qlab.parties.rules import positions_of
from qlab.parties.session import PartySession
from qlab.parties.taggers import FedTags

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from qlab.lab.qkd_model import QkdModel
    from qlab.parties.impairments import Impairments
    from qlab.qkd.accounting import BlockStatement
    from qlab.qkd.aligning import AlignReport
    from qlab.qkd.ledger import KeyLedger
    from qlab.tags.stream import TagBlock

__all__ = ["PartiesTogether"]


class PartiesTogether:
    """Two parties that are asked for one thing at a time.

    Parameters
    ----------
    model:
        The rules.
    alice, bob:
        Their ledgers.
    impairments:
        Of the channel, in either direction.
    """

    def __init__(
        self, model: QkdModel, alice: KeyLedger, bob: KeyLedger, impairments: Impairments | None = None
    ) -> None:
        self._changed = threading.Condition()
        self.tags = (
            FedTags(self._changed, positions_of(model, model.alice)),
            FedTags(self._changed, positions_of(model, model.bob)),
        )
        self._sessions = (
            PartySession("reference", model, alice, self.tags[0]),
            PartySession("corrector", model, bob, self.tags[1]),
        )
        self._impairments = impairments
        self._results: tuple[Any, Any] | None = None
        self._work: asyncio.Task[None] | None = None
        self._loop = asyncio.new_event_loop()
        self._channels: tuple[PartyChannel, PartyChannel] | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, name="qlab-parties", daemon=True)
        self._thread.start()
        self._call(self._open())

    def align(self) -> None:
        """Begin to align both; `wait` then tells what is wanted."""
        self._begin([session.align(channel) for session, channel in self._pairs()])

    def block(self) -> None:
        """Begin a block."""
        self._begin([session.block(channel) for session, channel in self._pairs()])

    def wait(self) -> None:
        """Wait until both want a piece of tags, or have ended what they were asked for."""
        with self._changed:
            self._changed.wait_for(lambda: self._results is not None or all(tags.wants for tags in self.tags))

    @property
    def done(self) -> bool:
        """Whether both have ended."""
        with self._changed:
            return self._results is not None

    def feed(self, alice: TagBlock, bob: TagBlock) -> None:
        """Hand each its own tags of a piece."""
        for tags, block in zip(self.tags, (alice, bob), strict=True):
            tags.feed(block)

    def report(self) -> AlignReport:
        """Return what the alignment found; raises what went wrong."""
        result: AlignReport = self._result()
        return result

    def statement(self) -> BlockStatement:
        """Return Alice's statement of the block, once Bob's agrees; raises what went wrong."""
        made: BlockStatement | None = self._result()
        if made is None:
            failures = self._sessions[0].result.failures or self._sessions[1].result.failures
            raise PeerError(failures[-1])
        return made

    def close(self) -> None:
        """End both parties; may be called at any time."""
        if not self._thread.is_alive():
            return
        for tags in self.tags:
            tags.end()
        self._call(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    def _pairs(self) -> list[tuple[PartySession, PartyChannel]]:
        if self._channels is None:
            msg = "the parties are not connected"
            raise PeerError(msg)
        return list(zip(self._sessions, self._channels, strict=True))

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _begin(self, work: list[Coroutine[Any, Any, Any]]) -> None:
        self._results = None
        self._call(self._start(work))

    async def _start(self, work: list[Coroutine[Any, Any, Any]]) -> None:
        async def both() -> None:
            found = await asyncio.gather(*work, return_exceptions=True)
            with self._changed:
                self._results = (found[0], found[1])
                self._changed.notify_all()

        self._work = self._loop.create_task(both())

    def _result(self) -> Any:
        results, self._results = self._results, None
        if results is None:
            msg = "the parties have not ended"
            raise PeerError(msg)
        for one in results:
            if isinstance(one, BaseException) and not isinstance(one, QlabError):
                raise one
        for one in results:
            if isinstance(one, QlabError):
                raise one
        return results[0]

    async def _open(self) -> None:
        of_alice = PartyChannel(
            "reference", self._sessions[0].party.ledger.channel_key, ("127.0.0.1", 0), impairments=self._impairments
        )
        await of_alice.__aenter__()
        of_bob = PartyChannel(
            "corrector",
            self._sessions[1].party.ledger.channel_key,
            ("127.0.0.1", of_alice.port),
            impairments=self._impairments,
        )
        await of_bob.__aenter__()
        self._channels = (of_alice, of_bob)

    async def _shut(self) -> None:
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)
        if self._channels is not None:
            for channel in self._channels[::-1]:
                await channel.__aexit__(RuntimeError, None, None)
