"""`qlab shell`: IPython with the run engine, the devices and the plans of a lab."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from bluesky.utils import FailedStatus

from qlab.errors import BadRequestError, QlabError
from qlab.lab.build import open_lab
from qlab.run.commands import say, say_killed
from qlab.run.engine import Session
from qlab.run.farewell import farewell
from qlab.run.loader import find_plans
from qlab.run.progress import Progress

if TYPE_CHECKING:
    from qlab.run.options import RunOptions

__all__ = ["shell"]


def _one_message(
    prompt: Any, kind: type[BaseException], value: BaseException, trace: object, tb_offset: object = None
) -> None:
    """Show what went wrong without the engine's traceback."""
    del prompt, trace, tb_offset
    status: Any = value.args[0] if kind is FailedStatus and value.args else None
    cause = status.exception(0.0) if status is not None and hasattr(status, "exception") else None
    say(f"{type(cause or value).__name__}: {cause or value}")


def shell(lab_name: str, options: RunOptions) -> int:
    """Open a lab and hand it to a person; everything is left safe at the end."""
    try:
        from IPython.terminal.embed import InteractiveShellEmbed
    except ImportError as error:
        msg = "the shell needs IPython: pip install 'qlab[lab]'"
        raise BadRequestError(msg) from error
    import bluesky.plan_stubs as bps
    import bluesky.plans as bp
    import bluesky.preprocessors as bpp

    with (
        open_lab(lab_name, overrides=options.overrides, data_dir=options.data_dir) as lab,
        Session(lab, options) as session,
    ):
        say_killed(session)
        session.subscribe(Progress(lab.clock))
        names = {**lab.devices, **find_plans()}
        names |= {"RE": session.RE, "lab": lab, "catalogue": session.catalogue, "bps": bps, "bp": bp, "bpp": bpp}
        banner = (
            f"lab {lab.file.name}: {', '.join(lab.devices)}\n"
            "RE(measure_chsh(tagger, alice, bob, pump)) runs a plan; Ctrl-C twice pauses it, RE.resume() goes on, "
            "RE.abort() ends it"
        )
        logging.getLogger("bluesky").setLevel(logging.CRITICAL)  # it would print the traceback that we spare a person
        prompt = InteractiveShellEmbed(banner1=banner, user_ns=names)
        prompt.set_custom_exc((QlabError, FailedStatus), _one_message)
        with farewell(session, also=prompt.ask_exit):
            prompt()
    return 0
