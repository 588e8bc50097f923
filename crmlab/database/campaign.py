"""Read out a campaign with a control group: what it caused, and what that was worth.

Design of the test is in `crmlab.database.campaign_design`, whom to contact in `crmlab.database.uplift`.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from crmlab.contracts import aligned, broken_rules, require_columns
from crmlab.database.experiment import cluster_codes, covariates, read_experiment
from crmlab.database.mailing import check_economics
from crmlab.errors import ContractError
from crmlab.stats import Interval, check_level, proportion_interval


@dataclass(frozen=True, eq=False)
class ReadOut:
    """What a campaign caused, per customer.

    Attributes
    ----------
    arms : pandas.DataFrame, 2 rows (treated, control)
        ``customers``, ``mean`` of the outcome and its standard error ``se``.
    outcome : {"share", "mean"}
        Share: every outcome is 0 or 1.
    difference : Interval
        Treated minus control, in the unit of the outcome (for a share: points / 100).
    relative : Interval or None
        Treated over control, minus 1; None unless both means are above 0.
    adjusted : Interval or None
        The difference, made more precise by what was known before the campaign; None without it.
    variance_reduction : float or None
        Share of the squared standard error that the adjustment saves; below 0 if it costs precision.
    statistic, p_value : float
        Difference over its standard error, and its two-sided p-value without adjustment.
    level : float
        Confidence level of all intervals.
    clusters : int or None
        Number of groups of customers drawn together; None if each customer was drawn.
    """

    arms: pd.DataFrame
    outcome: Literal["share", "mean"]
    difference: Interval
    relative: Interval | None
    adjusted: Interval | None
    variance_reduction: float | None
    statistic: float
    p_value: float
    level: float
    clusters: int | None = None

    @property
    def effect(self) -> Interval:
        """The adjusted difference where there is one, else the plain difference."""
        return self.adjusted or self.difference

    @property
    def definitions(self) -> dict[str, str]:
        """How each number was made."""
        interval = "Newcombe's interval from two Wilson intervals" if self.outcome == "share" else "Welch's interval"
        if self.clusters:
            interval = f"errors clustered in {self.clusters:,} groups"
        lines = {
            "difference": f"mean of the treated minus mean of the control group; {interval}",
            "p-value": "two-sided, of difference over standard error; does not use the adjustment",
        }
        if self.relative:
            lines["relative"] = "mean of the treated over mean of the control group, minus 1; log scale, delta method"
        if self.adjusted:
            lines["adjusted"] = "regression on the treatment, centred covariates and their products; HC2 errors"
        return lines

    def __repr__(self) -> str:
        lines = [f"Read-out of {int(self.arms['customers'].sum()):,} customers, outcome a {self.outcome}"]
        lines += [
            f"  {name:<11} {row['customers']:>9,.0f} customers, {row['mean']:.4g} each (standard error {row['se']:.2g})"
            for name, row in self.arms.iterrows()
        ]
        named = {"difference": self.difference, "relative": self.relative, "adjusted": self.adjusted}
        lines += [f"  {name:<11} {interval}" for name, interval in named.items() if interval]
        if self.variance_reduction is not None:
            lines.append(f"              the adjustment saves {self.variance_reduction:.1%} of the variance")
        lines.append(f"  p-value     {self.p_value:.3g}")
        return "\n".join([*lines, *(f"  {name}: {text}" for name, text in self.definitions.items())])


@dataclass(frozen=True)
class IncrementalProfit:
    """What the treated group's campaign was worth.

    Attributes
    ----------
    contacted : int
        Customers contacted.
    incremental : Interval
        Outcome that would not be there without the campaign: responses, or money of sales.
    profit : Interval
        Margin of the incremental outcome minus the cost of all contacts, in money.
    return_on_cost : Interval or None
        Profit over the cost of the contacts; None if they cost nothing.
    break_even : float
        Effect per customer from which a contact pays, in the unit of the outcome.
    """

    contacted: int
    incremental: Interval
    profit: Interval
    return_on_cost: Interval | None
    break_even: float


def read_out(
    outcome: npt.ArrayLike,
    treated: npt.ArrayLike,
    *,
    before: pd.DataFrame | pd.Series | None = None,
    cluster: npt.ArrayLike | None = None,
    level: float = 0.95,
) -> ReadOut:
    """Compare the treated with the control group of a randomised campaign.

    The plain difference has Welch's interval, or Newcombe's for a share. With `before`, the outcome is also regressed
    on the treatment, the centred covariates and their products; the coefficient of the treatment is CUPED with its own
    slope in each arm, so that it never costs precision in large samples and needs no model to be true.

    Parameters
    ----------
    outcome : array_like of float, shape (n,)
        One number per customer who was **assigned**, whether reached or not; who bought nothing has 0.
    treated : array_like of bool or 0/1, shape (n,)
        Whether the customer was drawn for the campaign.
    before : pandas.DataFrame or Series, shape (n, k), optional
        Numbers known **before** the campaign, such as last year's sales. Anything later biases the result.
    cluster : array_like, shape (n,), optional
        Group of each customer, if whole groups (households, stores) were drawn; at least 10 in each arm.
    level : float, default 0.95
        Confidence level.

    Raises
    ------
    ContractError
        If inputs differ in length or index, hold missing or infinite values, lack an arm or do not vary.

    References
    ----------
    Newcombe, R. G. (1998). Interval estimation for the difference between independent proportions, method 10.
    *Statistics in Medicine* 17, 873-890.
    Deng, A., Xu, Y., Kohavi, R. & Walker, T. (2013). Improving the sensitivity of online controlled experiments by
    utilizing pre-experiment data. *WSDM*, 123-132. (CUPED)
    Lin, W. (2013). Agnostic notes on regression adjustments to experimental data. *Annals of Applied Statistics* 7,
    295-318. (the interacted regression)

    Examples
    --------
    >>> result = read_out([1, 1, 0, 1, 0, 0, 1, 0], [1, 1, 1, 1, 0, 0, 0, 0])
    >>> print(result.difference)
    0.5 (95% interval -0.135 to 0.789)
    """
    y, t = read_experiment(outcome, treated)
    check_level(level)
    groups = cluster_codes(cluster, treated, t)
    share = bool(np.isin(y, (0.0, 1.0)).all())
    arms = pd.DataFrame(
        {name: _arm(y[arm], None if groups is None else groups[arm]) for name, arm in (("treated", t), ("control", ~t))}
    ).T
    if before is None:
        return _compare(arms, share=share, level=level, clusters=groups)
    estimate, se = _adjusted(y, t, covariates(before, treated), groups)
    return _compare(arms, share=share, level=level, clusters=groups, adjusted=(estimate, se))


def read_arms(arms: pd.DataFrame, treated: str, control: str, *, level: float = 0.95) -> ReadOut:
    """Read out a campaign of which only the table of its arms is known.

    Parameters
    ----------
    arms : pandas.DataFrame
        One row per arm: ``arm``, ``customers``, ``mean`` and, unless the means are shares of customers, ``se``, the
        standard error of the mean.
    treated, control : str
        Names of the two arms to compare.
    level : float, default 0.95
        Confidence level.

    Raises
    ------
    ContractError
        If columns or arms are missing, an arm appears twice, or numbers are impossible.

    Examples
    --------
    >>> table = pd.DataFrame({"arm": ["letter", "none"], "customers": [5_000, 5_000], "mean": [0.024, 0.018]})
    >>> print(read_arms(table, "letter", "none").difference)
    0.006 (95% interval 0.000368 to 0.0117)
    """
    check_level(level)
    require_columns(arms, ["arm", "customers", "mean"], "read_arms")
    if arms["arm"].duplicated().any() or treated == control:
        raise ContractError(f"read_arms needs two different arms, each in one row; got {list(arms['arm'])}")
    missing = [name for name in (treated, control) if name not in set(arms["arm"])]
    if missing:
        raise ContractError(f"no arm is called {missing[0]!r}; the arms are {list(arms['arm'])}")
    two = arms.set_index("arm").loc[[treated, control]]
    share = "se" not in two
    columns = ["customers", "mean"] if share else ["customers", "mean", "se"]
    two = aligned("a read-out of arms", **{name: two[name] for name in columns})
    rules = {"customers: not 2 or more": two["customers"] < 2}
    if share:
        rules["mean: no share between 0 and 1, and there is no column 'se'"] = ~two["mean"].between(0, 1)
        two["se"] = np.sqrt((two["mean"] * (1 - two["mean"])).clip(0) / (two["customers"] - 1))
    rules["se: below 0"] = two["se"] < 0
    problems = broken_rules(rules)
    if problems:
        raise ContractError("these arms cannot be compared (rows: 1 treated, 2 control)", problems)
    return _compare(two[["customers", "mean", "se"]].set_axis(["treated", "control"]), share=share, level=level)


def incremental_profit(result: ReadOut, *, margin: float, contact_cost: float) -> IncrementalProfit:
    """Incremental outcome and profit of the contacts that were made, with the interval of the effect.

    Parameters
    ----------
    result : ReadOut
        From `read_out` or `read_arms`.
    margin : float
        Money per unit of the outcome: of a response, or the share of sales that is left after the goods.
    contact_cost : float
        Money per contact.

    Raises
    ------
    ContractError
        If `margin` is not above 0 or `contact_cost` below 0.

    Examples
    --------
    >>> table = pd.DataFrame({"arm": ["letter", "none"], "customers": [5_000, 5_000], "mean": [0.024, 0.018]})
    >>> worth = incremental_profit(read_arms(table, "letter", "none"), margin=60.0, contact_cost=0.25)
    >>> round(worth.incremental.estimate), round(worth.profit.estimate)
    (30, 550)
    """
    check_economics(margin, contact_cost)
    contacted = int(result.arms["customers"]["treated"])
    spent = contact_cost * contacted

    def scaled(times: float, plus: float = 0.0) -> Interval:
        effect = result.effect
        estimate, low, high = (times * x + plus for x in (effect.estimate, effect.low, effect.high))
        return Interval(estimate, low, high, effect.level)

    gain = margin * contacted
    over_cost = scaled(gain / spent, -1.0) if spent > 0 else None
    return IncrementalProfit(contacted, scaled(contacted), scaled(gain, -spent), over_cost, contact_cost / margin)


def _compare(
    arms: pd.DataFrame,
    *,
    share: bool,
    level: float,
    clusters: np.ndarray | None = None,
    adjusted: tuple[float, float] | None = None,
) -> ReadOut:
    """The read-out of two arms: ``customers``, ``mean``, ``se``, and ``df``, the degrees of freedom of the error."""
    from scipy.stats import norm, t

    mean, se = arms["mean"], arms["se"]
    freedom = arms["df"] if "df" in arms else arms["customers"] - 1
    error = float(np.hypot(se["treated"], se["control"]))
    if error == 0:
        raise ContractError("the outcome does not vary within either arm, so the difference has no error to be read by")
    df = error**4 / float((se**4 / freedom).sum())
    z = float(norm.ppf((1 + level) / 2))
    reach = float(t.ppf((1 + level) / 2, df))
    difference = float(mean["treated"] - mean["control"])
    interval = Interval(difference, difference - reach * error, difference + reach * error, level)
    if share and clusters is None:
        interval = _newcombe(arms, difference, level)
    relative = None
    if (mean > 0).all():
        ratio, spread = mean["treated"] / mean["control"], float(np.sqrt(((se / mean) ** 2).sum()))
        estimate, low, high = (float(ratio * np.exp(k * spread)) - 1 for k in (0, -z, z))
        relative = Interval(estimate, low, high, level)
    lin = None
    if adjusted:
        own, wide = adjusted[0], reach * adjusted[1]
        lin = Interval(own, own - wide, own + wide, level)
    return ReadOut(
        arms=arms[["customers", "mean", "se"]],
        outcome="share" if share else "mean",
        difference=interval,
        relative=relative,
        adjusted=lin,
        variance_reduction=1 - (adjusted[1] / error) ** 2 if adjusted else None,
        statistic=difference / error,
        p_value=float(2 * t.sf(abs(difference) / error, df)),
        level=level,
        clusters=None if clusters is None else len(np.unique(clusters)),
    )


def _newcombe(arms: pd.DataFrame, difference: float, level: float) -> Interval:
    wilson = {
        name: proportion_interval(round(row["customers"] * row["mean"]), round(row["customers"]), level)
        for name, row in arms.iterrows()
    }
    one, two = wilson["treated"], wilson["control"]
    below = np.hypot(one.estimate - one.low, two.high - two.estimate)
    above = np.hypot(one.high - one.estimate, two.estimate - two.low)
    return Interval(difference, difference - float(below), difference + float(above), level)


def _arm(y: np.ndarray, groups: np.ndarray | None) -> dict[str, float]:
    """Customers, mean, and its standard error: of independent customers, or of a ratio of sums over groups."""
    n = len(y)
    if groups is None:
        return {"customers": n, "mean": y.mean(), "se": y.std(ddof=1) / np.sqrt(n), "df": n - 1}
    _, code = np.unique(groups, return_inverse=True)
    sums = np.bincount(code, weights=y - y.mean())
    number = len(sums)
    return {"customers": n, "mean": y.mean(), "se": np.sqrt(number / (number - 1) * sums @ sums) / n, "df": number - 1}


def _adjusted(y: np.ndarray, t: np.ndarray, x: np.ndarray, groups: np.ndarray | None) -> tuple[float, float]:
    """Lin's estimate and its standard error, with the part that comes from not knowing the mean covariates exactly."""
    import statsmodels.api as sm

    centred = (x - x.mean(axis=0)) / x.std(axis=0)
    k = x.shape[1]
    design = np.column_stack([np.ones(len(y)), t, centred, centred * t[:, None]])
    if np.linalg.matrix_rank(design.T @ design / len(y), hermitian=True) < design.shape[1]:
        raise ContractError("the covariates in `before` repeat one another, or do so within one arm: leave some out")
    model = sm.OLS(y, design)
    fit = model.fit(cov_type="HC2") if groups is None else model.fit(cov_type="cluster", cov_kwds={"groups": groups})
    shift = _arm(centred @ fit.params[-k:], groups)  # its mean is 0; its error, drawn customers or drawn groups, is not
    return float(fit.params[1]), float(np.hypot(fit.bse[1], shift["se"]))
