"""Work spread by Dask: over threads of this machine, or over a cluster whose scheduler has an address."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from qlab.errors import BadRequestError, LinkClosedError
from qlab.tags.files.streaming import unheard

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qlab.tags.files.streaming import Progress
    from qlab.tags.many import Run

__all__ = ["on_cluster", "on_threads"]

_CONNECT_S = 10.0
"""Wall seconds that a scheduler may take to answer."""


def on_threads(jobs: int, progress: Progress = unheard) -> Run:
    """Return what calls a function with each of some arguments, on so many threads at once; they end with the work.

    Raises
    ------
    BadRequestError
        Dask is not installed, or less than one thread.
    """
    if jobs < 1:
        msg = f"{jobs} threads: expected at least one"
        raise BadRequestError(msg)
    try:
        dask: Any = import_module("dask")
        callbacks: Any = import_module("dask.callbacks")
    except ImportError as error:
        raise _missing(error) from error

    def run(function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        done = 0

        def finished(*_: object) -> None:
            nonlocal done
            done += 1
            progress(min(done, len(arguments)), len(arguments))

        tasks = [dask.delayed(function, pure=False)(*each) for each in arguments]
        with ThreadPoolExecutor(jobs) as pool, callbacks.Callback(posttask=finished):
            return list(dask.compute(*tasks, scheduler="threads", pool=pool, num_workers=jobs, optimize_graph=False))

    return run


def on_cluster(address: str, progress: Progress = unheard) -> Run:
    """Return what calls a function with each of some arguments on the workers of a cluster, which see the same files.

    Raises
    ------
    BadRequestError
        Dask's `distributed` is not installed.
    LinkClosedError
        Nobody answers at the scheduler's address (when the work is to begin).
    """
    try:
        distributed: Any = import_module("distributed")
    except ImportError as error:
        raise _missing(error) from error

    def run(function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        try:
            _knock(address)
            client = distributed.Client(address, timeout=_CONNECT_S, set_as_default=False)
        except (OSError, ValueError) as error:
            what = f"the Dask scheduler at {address} does not answer"
            hint = "start one with `dask scheduler`, and workers with `dask worker ADDRESS`"
            raise LinkClosedError(what, device="scheduler", found=str(error), hint=hint) from error
        with client:
            futures = [client.submit(function, *each, pure=False) for each in arguments]
            for n, _ in enumerate(distributed.as_completed(futures, loop=client.loop), 1):
                progress(n, len(futures))
            return list(client.gather(futures))

    return run


def _knock(address: str) -> None:
    """Connect and hang up: a client that finds nobody would leave its thread behind."""
    parts = urlsplit(address if "//" in address else f"tcp://{address}")
    if parts.hostname is None or parts.port is None:
        msg = "expected an address such as tcp://host:8786"
        raise ValueError(msg)
    socket.create_connection((parts.hostname, parts.port), timeout=_CONNECT_S).close()


def _missing(error: ImportError) -> BadRequestError:
    return BadRequestError(f"work is spread by Dask ({error.name} is missing): pip install 'qlab[scale]'")
