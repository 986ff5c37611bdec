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
    most : int
        Rounds after which the plan gives up waiting for it.
    max_duration_s : float, optional
        Lab seconds after which it does, None for no limit; looked at between rounds, and a round that would end later by
        the time of the rounds so far is not begun.
    word : str
        What the plan calls `most`.
    fewest : int
        Rounds that there are in any case.

    Attributes
    ----------
    rounds : int
        Rounds that have ended.
    stopped_by : str
        "sigma", `word` or "max_duration_s"; empty while it goes on.
    """

    def __init__(
        self,
        plan: str,
        sigma: float,
        most: int,
        max_duration_s: float | None = None,
        *,
        word: str = "max_rounds",
        fewest: int = 1,
    ):
        if not sigma > 0 or most < fewest or (max_duration_s is not None and not max_duration_s > 0):
            longest = "" if max_duration_s is None else f", max_duration_s = {max_duration_s:g}"
            msg = (
                f"{plan}: sigma = {sigma:g}, {word} = {most}{longest}; expected above 0, at least {fewest}, and above 0"
            )
            raise PlanError(msg)
        self.sigma, self.most, self.max_duration_s = sigma, most, max_duration_s
        self.word, self.fewest = word, fewest
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
        if self.rounds < self.fewest:
            return False
        if sigma <= self.sigma:  # a NaN is not
            self.stopped_by = "sigma"
        elif self.rounds >= self.most:
            self.stopped_by = self.word
        elif self.max_duration_s is not None and spent_s * (1.0 + 1.0 / self.rounds) > self.max_duration_s:
            self.stopped_by = "max_duration_s"
        return bool(self.stopped_by)

    def figures(self):
        """Return how it ended, for the results."""
        return {"rounds": self.rounds, "stopped_by": self.stopped_by}
