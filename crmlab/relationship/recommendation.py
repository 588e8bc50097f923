"""Net promoter score: how many recommend, less how many warn, with its sampling error.

Answers run from 0 to 10 ("how likely are you to recommend us?"): promoters say 9 or 10, passives 7 or 8, detractors 0
to 6. The score is the share of promoters less that of detractors, in points from -100 to 100.

References
----------
Reichheld, F. F. (2003). The one number you need to grow. *Harvard Business Review* 81(12), 46-54.
Agresti, A. & Min, Y. (2005). Simple improved confidence intervals for comparing matched proportions. *Statistics in
Medicine* 24(5), 729-740. (A difference of two shares of one sample: half an answer is added to each end, one between.)
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

from crmlab.contracts import aligned, broken_rules
from crmlab.errors import ContractError
from crmlab.stats import Interval, check_level

if TYPE_CHECKING:
    import numpy.typing as npt

_LOWEST_PROMOTER, _HIGHEST_DETRACTOR = 9, 6
#: Pseudo-answers added to promoters, passives and detractors before an interval is made.
_ADDED = np.array([0.5, 1.0, 0.5])


@dataclass(frozen=True)
class NetPromoterScore:
    """A score with what it is made of.

    Attributes
    ----------
    score, low, high : float
        Points from -100 to 100, with a confidence interval.
    std_error : float
        Standard error in points, from the multinomial variance of the three shares.
    promoters, passives, detractors : float
        Shares of the answers.
    n : int
        Answers.
    level : float
        Confidence level.
    """

    score: float
    low: float
    high: float
    std_error: float
    promoters: float
    passives: float
    detractors: float
    n: int
    level: float

    def __str__(self) -> str:
        return (
            f"net promoter score {self.score:.0f} ({self.level:.0%} interval {self.low:.0f} to {self.high:.0f}) from "
            f"{self.n:,} answers: {self.promoters:.0%} promoters, {self.detractors:.0%} detractors"
        )


def net_promoter_score(answers: "npt.ArrayLike", *, level: float = 0.95) -> NetPromoterScore:
    """Score of independent answers.

    The standard error is 100 √((p + d - (p - d)²) / n), with shares p of promoters and d of detractors among n
    answers. The interval adds two pseudo-answers (Agresti & Min 2005), so that it is not empty when all agree.

    Parameters
    ----------
    answers : array_like of int, shape (n,)
        Whole numbers from 0 to 10, one a person. Leave missing answers out first, and say how many there are: who does
        not answer is in no interval.
    level : float, default 0.95
        Confidence level.

    Raises
    ------
    ContractError
        If there is no answer, or one is missing, not whole or outside 0 to 10. (That a scale began at 1 cannot be
        seen.)

    Examples
    --------
    >>> print(net_promoter_score([10] * 50 + [8] * 30 + [3] * 20))
    net promoter score 30 (95% interval 14 to 45) from 100 answers: 50% promoters, 20% detractors
    """
    z = _quantile(level)
    values = aligned("a net promoter score", answers=answers)["answers"]
    rule = {"answers: not a whole number from 0 to 10": ~(values.between(0, 10) & (values % 1 == 0))}
    if problems := broken_rules(rule):
        raise ContractError("a net promoter score cannot be made of these answers (rows counted from 1)", problems)
    high, low = (values >= _LOWEST_PROMOTER).sum(), (values <= _HIGHEST_DETRACTOR).sum()
    counts = np.array([high, len(values) - high - low, low], dtype=float)
    score, std_error = _difference(counts)
    centre, spread = _difference(counts + _ADDED)
    promoters, passives, detractors = (float(one) for one in counts / counts.sum())
    return NetPromoterScore(
        score=100 * score,
        low=max(-100.0, 100 * (centre - z * spread)),
        high=min(100.0, 100 * (centre + z * spread)),
        std_error=100 * std_error,
        promoters=promoters,
        passives=passives,
        detractors=detractors,
        n=len(values),
        level=level,
    )


def nps_difference(first: NetPromoterScore, second: NetPromoterScore) -> Interval:
    """Second score less first, in points, for two samples without a person in common.

    The interval is put together from the two scores' own (Newcombe's method), at their level.

    Raises
    ------
    ContractError
        If the two have different levels.

    References
    ----------
    Newcombe, R. G. (1998). Interval estimation for the difference between independent proportions: comparison of eleven
    methods. *Statistics in Medicine* 17(8), 873-890.

    Examples
    --------
    >>> last_year = net_promoter_score([10] * 50 + [8] * 30 + [3] * 20)
    >>> this_year = net_promoter_score([10] * 55 + [8] * 30 + [3] * 15)
    >>> print(nps_difference(last_year, this_year))
    10 (95% interval -11 to 30.7)
    """
    if first.level != second.level:
        raise ContractError(f"the scores have different confidence levels, {first.level:g} and {second.level:g}")
    change = second.score - first.score
    down = np.hypot(second.score - second.low, first.high - first.score)
    up = np.hypot(second.high - second.score, first.score - first.low)
    return Interval(change, max(-200.0, change - float(down)), min(200.0, change + float(up)), first.level)


def nps_sample_size(margin: float, *, promoters: float, detractors: float, level: float = 0.95) -> int:
    """Answers needed for a score that is exact to so many points.

    Parameters
    ----------
    margin : float
        Half the width of the interval, in points. To see a *change* of so many points between two samples, each needs
        twice as many answers.
    promoters, detractors : float
        Shares that are expected, e.g. last year's; one half each asks for most.
    level : float, default 0.95
        Confidence level.

    Raises
    ------
    ContractError
        If the margin is not between 0 and 100, or these are no two shares of which one is positive.

    Examples
    --------
    >>> nps_sample_size(5, promoters=0.5, detractors=0.2)
    938
    """
    problems = []
    if not 0 < margin < 100:
        problems.append(f"margin must lie between 0 and 100 points, got {margin}")
    if not (promoters >= 0 and detractors >= 0 and 0 < promoters + detractors <= 1):
        problems.append(
            f"promoters and detractors must be shares with a sum above 0 and up to 1, got {promoters} and {detractors}"
        )
    if problems:
        raise ContractError("a sample size cannot be had", problems)
    variance = promoters + detractors - (promoters - detractors) ** 2
    return max(1, int(np.ceil(variance * (100 * _quantile(level) / margin) ** 2)))


def _difference(counts: "npt.NDArray[np.float64]") -> tuple[float, float]:
    """Promoters less detractors as a share of all, and its standard error."""
    n = counts.sum()
    up, _, down = counts / n
    return float(up - down), float(np.sqrt((up + down - (up - down) ** 2) / n))


def _quantile(level: float) -> float:
    return float(ndtri((1 + check_level(level)) / 2))
