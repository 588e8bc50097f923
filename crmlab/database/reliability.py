"""Calibration: of customers who were told a chance of 30 %, do 30 % respond?"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crmlab.contracts import aligned, broken_rules
from crmlab.errors import ContractError
from crmlab.stats import proportion_interval

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@dataclass(frozen=True, eq=False)
class Calibration:
    """Predicted against observed response, and how good the probabilities are.

    Attributes
    ----------
    table : pandas.DataFrame, shape (classes, 8)
        One row per quantile class, lowest first: ``lowest`` and ``highest`` probability, ``customers``,
        ``responses``, mean ``predicted`` probability, ``observed`` rate, and its Wilson interval ``low`` to ``high``.
    brier : float
        Mean squared difference of probability and response; smaller is better.
    reliability : float
        Mean squared distance of `predicted` and `observed` over classes: what miscalibration costs.
    resolution : float
        Mean squared distance of `observed` and the rate of all: what telling customers apart gains.
    uncertainty : float
        Rate of all times its complement: the Brier score of telling everybody the rate of all.
    within : float
        brier - (reliability - resolution + uncertainty): what classes hide; 0 when each holds one probability.
    level : float
        Confidence level of the intervals.
    """

    table: pd.DataFrame
    brier: float
    reliability: float
    resolution: float
    uncertainty: float
    within: float
    level: float

    @property
    def skill(self) -> float:
        """1 - brier / uncertainty: share of the base rate's Brier score that is saved; below 0 worse than it."""
        return 1 - self.brier / self.uncertainty

    @property
    def bias(self) -> float:
        """Mean probability less rate of response (calibration in the large)."""
        return float(np.average(self.table["predicted"] - self.table["observed"], weights=self.table["customers"]))

    def __repr__(self) -> str:
        return (
            f"Calibration of {self.table['customers'].sum():,} customers in {len(self.table)} classes: Brier score "
            f"{self.brier:.4f} = reliability {self.reliability:.4f} - resolution {self.resolution:.4f} + uncertainty "
            f"{self.uncertainty:.4f} + within classes {self.within:.4f}; skill {self.skill:.3f}, bias {self.bias:+.4f}"
        )


def calibration(probability: "ArrayLike", response: "ArrayLike", *, bins: int = 10, level: float = 0.95) -> Calibration:
    """Calibration table by quantile classes, and Murphy's decomposition of the Brier score.

    Parameters
    ----------
    probability : array_like of float, shape (n,)
        Predicted chance of a response, 0 to 1.
    response : array_like of int or bool, shape (n,)
        1 for a response, 0 for none; both must occur. Series must have the same index.
    bins : int, default 10
        Quantile classes. Cut by value: equal probabilities are in one class, so that there may be fewer.
    level : float, default 0.95
        Confidence level of the observed rates.

    Raises
    ------
    ContractError
        If columns are misaligned or not finite, a probability is none, a response is neither 0 nor 1, or all or none
        responded.

    References
    ----------
    Brier, G. W. (1950). Verification of forecasts expressed in terms of probability. *Monthly Weather Review* 78, 1-3.
    Murphy, A. H. (1973). A new vector partition of the probability score. *Journal of Applied Meteorology* 12, 595-600.
    Stephenson, D. B., Coelho, C. A. S. & Jolliffe, I. T. (2008). Two extra components in the Brier score decomposition.
    *Weather and Forecasting* 23, 752-757. (within)

    Examples
    --------
    >>> found = calibration([0.2, 0.2, 0.2, 0.2, 0.6, 0.6], [0, 0, 0, 1, 1, 1], bins=2)
    >>> found.table[["customers", "predicted", "observed"]]
       customers  predicted  observed
    0          4        0.2      0.25
    1          2        0.6      1.00
    >>> round(found.skill, 3)
    0.28
    """
    people = _people(probability, response, bins)
    chance, answer = people["probability"], people["response"]
    breaks = np.unique(chance.quantile(np.arange(1, bins) / bins, interpolation="lower"))
    groups = people.groupby(np.searchsorted(breaks, chance))
    table = groups.agg(
        lowest=("probability", "min"),
        highest=("probability", "max"),
        customers=("response", "size"),
        responses=("response", "sum"),
        predicted=("probability", "mean"),
        observed=("response", "mean"),
    ).reset_index(drop=True)
    ends = [proportion_interval(x, m, level) for x, m in zip(table["responses"], table["customers"], strict=True)]
    table["low"], table["high"] = [one.low for one in ends], [one.high for one in ends]
    weight, rate = table["customers"], answer.mean()
    brier = float(((chance - answer) ** 2).mean())
    reliability = float(np.average((table["predicted"] - table["observed"]) ** 2, weights=weight))
    resolution = float(np.average((table["observed"] - rate) ** 2, weights=weight))
    uncertainty = float(rate * (1 - rate))
    within = brier - (reliability - resolution + uncertainty)
    return Calibration(table, brier, reliability, resolution, uncertainty, within, level)


def _people(probability: "ArrayLike", response: "ArrayLike", bins: int) -> pd.DataFrame:
    people = aligned("a calibration", probability=probability, response=response)
    rules = {
        "probability: not between 0 and 1": ~people["probability"].between(0, 1),
        "response: neither 0 nor 1": ~people["response"].isin([0, 1]),
    }
    problems = broken_rules(rules)
    if not problems and people["response"].nunique() < 2:
        problems = ["response: everybody responded" if people["response"].iloc[0] else "response: nobody responded"]
    if not (bins >= 2 and bins % 1 == 0):
        problems.append(f"bins must be a whole number of 2 or more, got {bins}")
    if problems:
        raise ContractError("probabilities cannot be compared with these responses (rows counted from 1)", problems)
    return people.astype({"response": "int64"})
