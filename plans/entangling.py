"""A pair of memories that are entangled: what the plans for repeater modules are made of."""

from plans.stubs import perform_together
from qlab.errors import PlanError

__all__ = ["AXES", "OPTICAL", "STORAGE", "entangle"]

AXES = ("X", "Y", "Z")
OPTICAL, STORAGE = 1, 2
"""The qubit with the optical interface, and one that keeps a pair while that is busy."""


def entangle(modules, links, qubits, timeout_s):
    """Entangle two neighbours and return the pair's Bell label.

    Parameters
    ----------
    modules : two RepeaterModule
        Both ends.
    links, qubits : two int
        By which link each tries, and in which qubit it stores its half.
    timeout_s : float
        Lab seconds after which it has failed.
    """
    for module, qubit in zip(modules, qubits, strict=True):
        yield from perform_together({f"{module.name} free": lambda m=module, q=qubit: m.free(q)})
    ends = tuple(zip(modules, links, qubits, strict=True))
    yield from perform_together({m.name: lambda m=m, k=k, q=q: m.generate(k, q, timeout_s) for m, k, q in ends})
    one, other = (module.pairs[qubit] for module, _, qubit in ends)
    if (one.id, one.bell) != (other.id, other.bell):
        msg = f"{modules[0].name} and {modules[1].name} heard of different pairs: {one} and {other}"
        raise PlanError(msg)
    return one.bell
