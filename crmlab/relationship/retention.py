"""Retention of relationships whose end is seen: survival and hazard by tenure, with delayed entry."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from crmlab.contracts import TimeUnit
from crmlab.errors import ContractError
from crmlab.relationship.spells import Ends, Spells, check_spells
from crmlab.stats import Interval, check_level

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SurvivalCurve:
    """Share of relationships that last longer than a tenure, by Kaplan and Meier.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per tenure at which somebody left, after a first row for `given`: ``tenure``, ``at_risk`` (under
        observation just before it), ``churned``, ``survival``, ``low`` and ``high`` (pointwise; missing where the
        estimate is 1 before the first loss, or 0).
    given : float
        All shares are among those who reached this tenure.
    last : float
        Longest tenure observed; the curve says nothing beyond it.
    spells : int
        Relationships that it rests on.
    time_unit : {"day", "week", "month", "year"}
        Unit of tenure.
    level : float
        Of the intervals.
    """

    table: pd.DataFrame
    given: float
    last: float
    spells: int
    time_unit: TimeUnit
    level: float

    def at(self, tenure: Any) -> pd.DataFrame:
        """Survival at given tenures.

        Returns
        -------
        pandas.DataFrame, shape (tenures, 4)
            ``at_risk`` (just before the loss that the value rests on), ``survival``, ``low``, ``high``, by tenure.

        Raises
        ------
        ContractError
            If a tenure is below `given` or beyond `last`.
        """
        asked = np.atleast_1d(np.asarray(tenure, dtype=float))
        if not (asked.size and asked.ndim == 1 and ((asked >= self.given) & (asked <= self.last)).all()):
            raise ContractError(
                f"tenures must lie between {self.given:g} and {self.last:g} {self.time_unit}s, the longest observed; "
                f"got {tenure}"
            )
        rows = np.searchsorted(self.table["tenure"], asked, side="right") - 1
        found = self.table.iloc[rows].set_axis(pd.Index(asked, name="tenure"))
        return found[["at_risk", "survival", "low", "high"]]

    def median(self) -> Interval:
        """Tenure that half of them do not survive: the first at which the curve is at one half or below.

        Infinite where the curve, or its limit, stays above one half as far as it was observed.

        References
        ----------
        Brookmeyer, R. & Crowley, J. (1982). A confidence interval for the median survival time. *Biometrics* 38, 29-41.
        """

        def first(column: str) -> float:
            below = self.table["tenure"][self.table[column].ffill() <= 0.5]
            return float(below.iloc[0]) if len(below) else np.inf

        return Interval(first("survival"), first("low"), first("high"), self.level)

    def restricted_mean(self, horizon: float) -> Interval:
        r"""Mean tenure up to a horizon: :math:`\int_g^H S(t)\,dt`, from `given` on.

        With renewals it is the mean number of periods paid for. The variance is Greenwood's,
        :math:`\sum_i \left(\int_{t_i}^{H} S\right)^2 d_i / (n_i (n_i - d_i))`, with :math:`d_i` lost of :math:`n_i`.

        Parameters
        ----------
        horizon : float
            In units of tenure, above `given` and not beyond `last`.

        References
        ----------
        Klein, J. P. & Moeschberger, M. L. (2003). *Survival Analysis*, 2nd ed., section 4.5. Springer.
        """
        if not self.given < horizon <= self.last:
            raise ContractError(
                f"the horizon must lie above {self.given:g} and not beyond {self.last:g}; got {horizon}"
            )
        rows = self.table[self.table["tenure"] < horizon]
        steps = np.diff(np.append(rows["tenure"], horizon)) * rows["survival"].to_numpy()
        area = steps[::-1].cumsum()[::-1]
        stay = (rows["at_risk"] - rows["churned"]).to_numpy(dtype=float)
        terms = np.divide(area**2 * rows["churned"], rows["at_risk"] * stay, out=np.zeros(len(rows)), where=stay > 0)
        reach = quantile(self.level) * float(np.sqrt(terms.sum()))
        mean = float(area[0])
        return Interval(mean, max(mean - reach, 0.0), min(mean + reach, horizon - self.given), self.level)

    def __repr__(self) -> str:
        left, median = int(self.table["churned"].sum()), self.median()
        among = f" among those who reached {self.given:g}" if self.given else ""
        return (
            f"Kaplan-Meier survival of {self.spells:,} spells, {left:,} ended{among}\n"
            f"  survival   share that lasts longer than a tenure, in {self.time_unit}s; observed up to {self.last:g}\n"
            f"  low, high  pointwise {self.level:.0%} interval (Greenwood, log-log)\n"
            f"  median     {median.estimate:g} {self.time_unit}s ({median.low:g} to {median.high:g})"
        )


def survival(spells: Spells, *, given: float = 0.0, level: float = 0.95) -> SurvivalCurve:
    r"""Kaplan-Meier estimate of survival by tenure, with delayed entry.

    .. math:: \hat S(t) = \prod_{g < t_i \le t} \left(1 - \frac{d_i}{n_i}\right)

    Of the :math:`n_i` spells under observation just before tenure :math:`t_i` (``entry`` below it, ``exit`` not),
    :math:`d_i` end at it. Who leaves and who was last seen at the same tenure are both at risk; who came under
    observation at it is not. Interval: Greenwood's variance on the scale of :math:`\log(-\log S)`. The product and the
    variance are those of `statsmodels.duration.survfunc.SurvfuncRight`.

    Parameters
    ----------
    spells : Spells
        From `read_spells`.
    given : float, default 0
        Start the curve at this tenure, among those who reached it. A stock sample may hold nobody of a short tenure.
    level : float, default 0.95
        Of the intervals.

    Raises
    ------
    ContractError
        If nobody leaves after `given`, or if at some tenure nobody was under observation, or all who were left,
        although others came under observation later: the product would be 0, or blind, from there on. The message
        names a `given` that works.

    References
    ----------
    Kaplan, E. L. & Meier, P. (1958). Nonparametric estimation from incomplete observations. *Journal of the American
    Statistical Association* 53, 457-481.
    Kalbfleisch, J. D. & Prentice, R. L. (2002). *The Statistical Analysis of Failure Time Data*, 2nd ed., section 1.4.
    Wiley. (the interval)
    Klein, J. P. & Moeschberger, M. L. (2003). *Survival Analysis*, 2nd ed., section 4.6. Springer. (left truncation)

    Examples
    --------
    >>> from crmlab.relationship.spells import read_spells
    >>> start, end = pd.to_datetime(["2024-01-01"] * 4), pd.to_datetime(["2024-02-01", "2024-03-01", None, None])
    >>> table = pd.DataFrame({"customer_id": range(4), "started_on": start, "ended_on": end})
    >>> months = read_spells(table, time_unit="month", ends="renewal", window_end="2024-06-30")
    >>> survival(months).table[["tenure", "at_risk", "churned", "survival"]]
       tenure  at_risk  churned  survival
    0     0.0        4        0      1.00
    1     1.0        4        1      0.75
    2     2.0        3        1      0.50
    """
    from statsmodels.duration.survfunc import SurvfuncRight

    check_spells(spells, "survival")
    z = quantile(level)
    rows = spells.table[spells.table["exit"] > given]
    if not np.isfinite(given) or given < 0 or not rows["churned"].any():
        raise ContractError(f"given must be a tenure, 0 or more, after which somebody leaves; got {given}")
    entry, exit_ = rows["entry"].clip(lower=given).to_numpy(), rows["exit"].to_numpy()
    found = SurvfuncRight(exit_, rows["churned"].to_numpy(dtype=float), entry=entry)
    at_risk, churned = found.n_risk.astype("int64"), found.n_events.astype("int64")
    _refuse_blind(given, entry, exit_, found.surv_times[at_risk == churned], spells.time_unit)
    share = found.surv_prob
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = z * found.surv_prob_se / (share * np.log(share))
        low, high = share ** np.exp(-reach), share ** np.exp(reach)
    table = pd.DataFrame(
        {
            "tenure": found.surv_times,
            "at_risk": at_risk,
            "churned": churned,
            "survival": share,
            "low": low,
            "high": high,
        }
    )
    start = pd.DataFrame({"tenure": [given], "at_risk": int((entry == given).sum()), "churned": 0, "survival": 1.0})
    table = pd.concat([start, table], ignore_index=True)
    return SurvivalCurve(table, float(given), float(exit_.max()), len(rows), spells.time_unit, level)


def _refuse_blind(given: float, entry: "Floats", exit_: "Floats", emptied: "Floats", unit: TimeUnit) -> None:
    """Refuse tenures at which nobody is under observation, or all leave, while others come later."""
    order = np.argsort(entry, kind="stable")
    begins, reached = entry[order], np.maximum.accumulate(exit_[order])
    blind = begins > np.append(given, reached[:-1])
    bad = np.append(begins[blind], emptied[emptied < exit_.max()])
    if len(bad):
        raise ContractError(
            f"the curve from tenure {given:g} cannot be drawn: up to tenure {bad.max():g} {unit}s there is a stretch "
            "where nobody was under observation, or all who were left, while others came under observation later. Draw "
            f"it among those who got that far: given={bad.max():g}, or later"
        )


@dataclass(frozen=True, eq=False)
class LifeTable:
    """Hazard by tenure, one unit after the other.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per tenure ``tenure`` = 1, 2, ... (the unit that ends there): ``entered`` and ``censored`` (came, went
        out of observation within it), ``at_risk`` (those there at its beginning, and half of these two), ``churned``,
        ``hazard`` (churned / at_risk), ``low``, ``high``, and ``survival`` (product of 1 - hazard, missing from the
        first tenure on at which nobody was under observation).
    time_unit : {"day", "week", "month", "year"}
        Unit of tenure.
    ends : {"renewal", "any_time"}
        With renewals nobody comes or goes within a unit, and `at_risk` are those asked to renew.
    level : float
        Of the Wilson intervals.
    """

    table: pd.DataFrame
    time_unit: TimeUnit
    ends: Ends
    level: float

    def __repr__(self) -> str:
        what = "asked to renew" if self.ends == "renewal" else "at risk (who came or went within it count half)"
        head = f"Life table of {len(self.table)} {self.time_unit}s, {int(self.table['churned'].sum()):,} churned"
        return f"{head}\n  hazard     churned among those {what}\n  low, high  {self.level:.0%} Wilson interval"


def life_table(spells: Spells, *, level: float = 0.95) -> LifeTable:
    r"""Hazard by tenure with intervals: the actuarial, or with renewals the discrete-time, life table.

    .. math:: \hat h_k = \frac{d_k}{b_k + (e_k - c_k) / 2}

    Of the :math:`b_k` spells there at the beginning of the k-th unit of tenure :math:`d_k` end in it, while
    :math:`e_k` come under observation in it and :math:`c_k` go out of observation. 1 - hazard is the retention rate at
    that tenure.

    Parameters
    ----------
    spells : Spells
        From `read_spells`.
    level : float, default 0.95
        Of the Wilson intervals, which take a tenure by itself.

    Raises
    ------
    ContractError
        If nobody churns.

    References
    ----------
    Cutler, S. J. & Ederer, F. (1958). Maximum utilization of the life table method in analyzing survival. *Journal of
    Chronic Diseases* 8, 699-712.

    Examples
    --------
    >>> from crmlab.relationship import read_spells
    >>> begun, ended = ["2024-01-01", "2024-01-01", "2024-02-01"], ["2024-03-01", None, "2024-03-01"]
    >>> days = {"started_on": pd.to_datetime(begun), "ended_on": pd.to_datetime(ended)}
    >>> contracts = pd.DataFrame({"customer_id": ["ann", "bob", "cy"]} | days)
    >>> spells = read_spells(contracts, time_unit="month", ends="renewal", window_end="2024-04-01")
    >>> life_table(spells).table[["tenure", "survival"]].round(2).values.tolist()
    [[1.0, 0.67], [2.0, 0.33], [3.0, 0.33]]
    """
    check_spells(spells, "a life table")
    check_level(level)
    rows = spells.table
    if not rows["churned"].any():
        raise ContractError("nobody left: there is no hazard to estimate")
    last = int(np.ceil(rows["exit"].max()))
    marks = np.arange(last + 1.0)
    entry, gone = np.sort(rows["entry"]), np.sort(rows["exit"])
    open_ = np.sort(rows.loc[~rows["churned"], "exit"])
    begin = (np.searchsorted(entry, marks, side="right") - np.searchsorted(gone, marks, side="right"))[:-1]
    entered = np.searchsorted(entry, marks[1:], side="left") - np.searchsorted(entry, marks[:-1], side="right")
    censored = np.searchsorted(open_, marks[1:], side="left") - np.searchsorted(open_, marks[:-1], side="right")
    churned = np.bincount(np.ceil(rows.loc[rows["churned"], "exit"]).astype(int), minlength=last + 1)[1:]
    at_risk = begin + (entered - censored) / 2
    table = pd.DataFrame(
        {"tenure": np.arange(1, last + 1), "entered": entered, "censored": censored, "at_risk": at_risk}
    ).assign(churned=churned)
    table = table.join(rate(table["churned"], table["at_risk"], level, "hazard"))
    table["survival"] = (1 - table["hazard"]).cumprod(skipna=False)
    return LifeTable(table, spells.time_unit, spells.ends, level)


def rate(successes: pd.Series, n: pd.Series, level: float, name: str) -> pd.DataFrame:
    """Share with its Wilson interval; missing where there is nobody. The number at risk need not be whole."""
    from statsmodels.stats.proportion import proportion_confint

    seen = n.where(n > 0).astype(float)
    low, high = proportion_confint(successes, seen, alpha=1 - level, method="wilson")
    return pd.DataFrame({name: successes / seen, "low": low, "high": high})


def quantile(level: float) -> float:
    """Normal quantile of a two-sided interval."""
    from scipy.special import ndtri

    return float(ndtri(0.5 + check_level(level) / 2))
