"""The table of docs/plans.md, from the plans as `qlab run` finds them, and its estimates, from dry runs of `plan_cases`.

python -m tests.run.plans_page docs/plans.md               the table, with the estimates as they are
python -m tests.run.plans_page docs/plans.md --estimates   and with new ones, some minutes
"""

from __future__ import annotations

import inspect
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qlab.run.estimate import estimate_plan, span
from qlab.run.loader import find_plans, role_of
from qlab.run.options import RunOptions
from tests.run.plan_cases import CASES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["page_estimates", "plan_table"]

HEAD = "| plan | what it measures | needs | may use | stops when | further parameters | estimate |"
ERROR_BARS = ("sigma", "dark_sigma", "sigma_ps", "resolution_ps", "target_ps")
ENOUGH = ("clicks", "pairs", "points", "wanted_bits", "blocks", "duration_s", "hours")
LIMITS = ("max_rounds", "max_points", "max_acquisitions", "max_suspensions", "most_repeats", "max_s", "max_duration_s")


def plan_table(estimates: Mapping[str, str]) -> str:
    """Return the table, one row a plan."""
    rows = [_row(name, plan, estimates.get(name, "")) for name, plan in sorted(find_plans().items()) if _ours(plan)]
    return "\n".join([HEAD, "|" + "---|" * HEAD.count(" |"), *rows])


def page_estimates(text: str) -> dict[str, str]:
    """Return the estimates that a page has, by plan."""
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| `")]
    return {row[0].strip("| `"): row[-1].removesuffix(" |").removesuffix("|").strip() for row in rows}


def _ours(plan: Callable[..., Any]) -> bool:
    return plan.__module__.startswith("plans.")


def _row(name: str, plan: Callable[..., Any], estimate: str) -> str:
    parameters = {k: p for k, p in inspect.signature(plan).parameters.items() if k != "md"}
    roles = {k: role_of(p) for k, p in parameters.items()}
    bare = inspect.Parameter.empty
    needs = [f"`{k}`" for k, p in parameters.items() if _is_device(p, roles[k]) and p.default is bare]
    may = [f"`{k}`" for k, p in parameters.items() if roles[k] is not None and p.default is not bare]
    stops = [k for k in (*ERROR_BARS, *ENOUGH) if k in parameters]
    most = [k for k in LIMITS if k in parameters]
    words = " and ".join(f"`{k}`" for k in stops) or "its settings are done"
    words += f", or {' or '.join(f'`{k}`' for k in most)}" if most else ""
    told = {*stops, *most, *(k for k in parameters if roles[k] is not None)}
    rest = [f"`{k}`" for k, p in parameters.items() if k not in told and not _is_device(p, roles[k])]
    first = (inspect.getdoc(plan) or "").split("\n\n")[0].replace("\n", " ")
    cells = (f"`{name}`", first, ", ".join(needs), ", ".join(may), words, ", ".join(rest), estimate)
    return "| " + " | ".join(cell or "-" for cell in cells) + " |"


def _is_device(parameter: inspect.Parameter, role: object) -> bool:
    """Return whether a parameter is an instrument: by its role, or as one without type and default."""
    return role is not None or parameter.annotation is parameter.default is inspect.Parameter.empty


def _estimate(name: str) -> str:
    case = CASES[name]
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        if case.after:
            from tests.run.test_plan_estimates import lasts

            lasts(case.after, CASES[case.after], data, seed=1)
        found = estimate_plan(case.lab_name(data), name, case.texts, RunOptions(case.overrides, data))
    words = " ".join(f"{key}={value}" for key, value in case.texts.items())
    return (
        f"{span(found.lab_s)} in the lab `{case.lab}` with `{words}`"
        if words
        else f"{span(found.lab_s)} in `{case.lab}`"
    )


def main(path: Path, *, anew: bool) -> None:
    """Write the table into a page."""
    text = path.read_text()
    estimates = page_estimates(text)
    before, _, rest = text.partition(HEAD)
    after = re.sub(r"\A[^\n]*\n(\|[^\n]*\n)*", "", rest)
    path.write_text(before + plan_table(estimates) + "\n" + after)
    for name in [name for name in CASES if anew or estimates.get(name, "-") == "-"]:
        estimates[name] = _estimate(name)
        sys.stdout.write(f"{name}: {estimates[name]}\n")
        sys.stdout.flush()
        path.write_text(before + plan_table(estimates) + "\n" + after)


if __name__ == "__main__":
    main(Path(sys.argv[1]), anew="--estimates" in sys.argv)
