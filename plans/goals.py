"""When an adaptive plan has measured enough."""

from qlab.errors import PlanError

__all__ = ["Goal"]


class Goal:
    """Ends rounds of measurement: at the wanted uncertainty, after the most rounds, or after the longest time.

    Parameters
    ----------
    plan : str
        Its name, for what is said of a wrong wish.
    sigma : float
        Wanted standard uncertainty of the plan's figure.
    max_rounds : int
        Rounds after which the plan gives up waiting for it.
    max_duration_s : float, optional
        Lab seconds after which it does, None for no limit; looked at between rounds, and a round that would end later by
        the time of the rounds so far is not begun.

    Attributes
    ----------
    rounds : int
        Rounds that have ended.
    stopped_by : str
        "sigma", "max_rounds" or "max_duration_s"; empty while it goes on.
    """

    def __init__(self, plan: str, sigma: float, max_rounds: int, max_duration_s: float | None = None):
        if not sigma > 0 or max_rounds < 1 or (max_duration_s is not None and not max_duration_s > 0):
            longest = "" if max_duration_s is None else f", max_duration_s = {max_duration_s:g}"
            msg = f"{plan}: sigma = {sigma:g}, max_rounds = {max_rounds}{longest}; expected above 0, at least 1, and above 0"
            raise PlanError(msg)
        self.sigma, self.max_rounds, self.max_duration_s = sigma, max_rounds, max_duration_s
        self.rounds = 0
        self.stopped_by = ""
        self._clock = None
        self._begun_s = 0.0

    def begin(self, clock):
        """Start the time."""
        self._clock, self._begun_s = clock, clock.now_s()

    def reached(self, sigma: float) -> bool:
        """Take the uncertainty after a further round; return whether it was the last."""
        self.rounds += 1
        spent_s = self._clock.now_s() - self._begun_s if self._clock is not None else 0.0
        if sigma <= self.sigma:  # a NaN is not
            self.stopped_by = "sigma"
        elif self.rounds >= self.max_rounds:
            self.stopped_by = "max_rounds"
        elif self.max_duration_s is not None and spent_s * (1.0 + 1.0 / self.rounds) > self.max_duration_s:
            self.stopped_by = "max_duration_s"
        return bool(self.stopped_by)

    def figures(self):
        """Return how it ended, for the results."""
        return {"rounds": self.rounds, "stopped_by": self.stopped_by}
