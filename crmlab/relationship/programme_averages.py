"""Averages of group-time effects, the two-way regression that goes wrong, and the effect of an invitation by lot."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from crmlab.contracts import one_of
from crmlab.errors import ContractError
from crmlab.relationship.programme import GroupTimeEffects, covariance, group_time_effects
from crmlab.relationship.programme_inputs import normal_quantile, read_study
from crmlab.stats import Interval, check_level

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

By = Literal["event_time", "cohort", "period"]


@dataclass(frozen=True, eq=False)
class Averages:
    """Averages of group-time effects over cohorts, weighted by their customers.

    Attributes
    ----------
    table : pandas.DataFrame, one row per value of `by`
        Indexed by it: ``estimate``, ``se``, ``low``, ``high`` (pointwise), ``band_low``, ``band_high`` (which hold for
        all rows at once) and ``customers`` (joiners that the row rests on).
    covariance : pandas.DataFrame, shape (rows, rows)
        Covariance of the estimates.
    by : {"event_time", "cohort", "period"}
        What is kept apart.
    base : int
        Event time of the last period before joining and anticipation, from which change is counted; it has no row.
    level : float
        Confidence level.
    """

    table: pd.DataFrame
    covariance: pd.DataFrame
    by: By
    base: int
    level: float

    def __repr__(self) -> str:
        head = f"Effects by {self.by.replace('_', ' ')}, in units of the outcome; base period {self.base}"
        return f"{head}, {self.level:.0%} limits\n{self.table.round(3).to_string()}"


def effects_by(
    effects: GroupTimeEffects,
    by: By = "event_time",
    *,
    first: int | None = None,
    last: int | None = None,
    seed: int = 0,
) -> Averages:
    r"""Average group-time effects by periods since joining (the event study), by cohort or by calendar period.

    .. math:: \theta_e = \sum_g P(G=g \mid g \text{ seen at } e)\, ATT(g, g+e)

    Errors allow for the estimated shares of the cohorts. The simultaneous band widens the pointwise limits by the
    quantile of the largest of correlated normal deviates (sup-t), drawn with `seed`.

    Parameters
    ----------
    effects : GroupTimeEffects
        From `group_time_effects`.
    by : {"event_time", "cohort", "period"}, default "event_time"
        What to keep apart; with cohort and period only effects from joining on are averaged.
    first, last : int, optional
        Earliest and latest event time to use. Far event times rest on few cohorts, and not on the same ones.
    seed : int, default 0
        Draws of the band.

    Raises
    ------
    ContractError
        If no estimate lies within `first` and `last`.

    References
    ----------
    Callaway, B. & Sant'Anna, P. H. C. (2021). *Journal of Econometrics* 225, 200-230, sections 3 and 4.
    Montiel Olea, J. L. & Plagborg-Møller, M. (2019). Simultaneous confidence bands. *Journal of Applied Econometrics*
    34, 1-17. (the plug-in sup-t band)

    Examples
    --------
    >>> outcome = pd.DataFrame([[1.0, 1.0, 4.0], [2.0, 2.0, 3.0], [0.0, 1.0, 1.0], [3.0, 2.0, 3.0]])
    >>> effects = group_time_effects(outcome, pd.Series([2, 2, np.nan, np.nan]))
    >>> effects_by(effects).table["estimate"].to_dict()
    {-2: 0.0, 0: 1.5}
    """
    one_of("by", by, By)
    since = first if by == "event_time" else max(first or 0, 0)
    rows = _within(effects, since, last)
    names = np.unique(effects.table.loc[rows, by])
    found = [_average(effects, rows & (effects.table[by] == name).to_numpy()) for name in names]
    estimate = np.array([one[0] for one in found])
    shared = covariance(np.column_stack([one[1] for one in found]), effects.clusters)
    se, table = np.sqrt(np.diag(shared)), effects.table[rows].groupby(by)["customers"].sum()
    z, wide = _quantiles(shared, effects.level, seed)
    sizes = table.reindex(names).to_numpy()
    index = pd.Index(names, name=by)
    limits = {"low": -z, "high": z, "band_low": -wide, "band_high": wide}
    result = pd.DataFrame({"estimate": estimate, "se": se}, index=index)
    result = result.assign(**{name: estimate + k * se for name, k in limits.items()}, customers=sizes)
    return Averages(result, pd.DataFrame(shared, index, index), by, -1 - effects.anticipation, effects.level)


def overall_effect(effects: GroupTimeEffects, *, first: int = 0, last: int | None = None) -> Interval:
    """Mean effect of joining per member and period, over all periods from event time `first` to `last`.

    Every period of a member counts the same, so that the mean times the member-periods is the total that joining
    brought. ``first=1`` leaves the period of joining out, into which nobody is drawn by chance.

    Raises
    ------
    ContractError
        If no estimate lies within `first` and `last`.

    References
    ----------
    Callaway & Sant'Anna (2021), as in `effects_by`, section 3.

    Examples
    --------
    >>> outcome = pd.DataFrame([[1.0, 1.0, 4.0], [2.0, 2.0, 3.0], [0.0, 1.0, 1.0], [3.0, 2.0, 3.0]])
    >>> overall_effect(group_time_effects(outcome, pd.Series([2, 2, np.nan, np.nan]))).estimate
    1.5
    """
    estimate, psi = _average(effects, _within(effects, first, last))
    se = float(np.sqrt(covariance(psi[:, None], effects.clusters)[0, 0]))
    return _interval(estimate, se, effects.level)


def _within(effects: GroupTimeEffects, first: int | None, last: int | None) -> "npt.NDArray[np.bool_]":
    time = effects.table["event_time"]
    rows = (time >= (time.min() if first is None else first)) & (time <= (time.max() if last is None else last))
    if not rows.any():
        raise ContractError(
            f"no estimate lies within first={first}, last={last}; event times are {time.min()} to {time.max()}"
        )
    return rows.to_numpy()


def _average(effects: GroupTimeEffects, rows: "npt.NDArray[np.bool_]") -> "tuple[float, Floats]":
    """Mean of some estimates by the cohorts' customers, and its influence function with that of the weights."""
    chosen = effects.table[rows]
    n = len(effects.cohort_of)
    share = chosen["customers"].to_numpy() / n
    estimates = chosen["estimate"].to_numpy()
    theta = float(share @ estimates / share.sum())
    psi = effects.influence[:, rows] @ (share / share.sum())
    pull = pd.Series((estimates - theta) / share.sum()).groupby(chosen["cohort"].to_numpy()).sum()
    sizes = chosen.groupby("cohort")["customers"].first() / n
    return theta, psi + pd.Series(effects.cohort_of).map(pull).fillna(0.0).to_numpy() - float((sizes * pull).sum())


def _quantiles(shared: "Floats", level: float, seed: int) -> tuple[float, float]:
    spread = np.sqrt(np.diag(shared))
    alive = spread > 0
    correlation = (shared / np.outer(spread, spread))[np.ix_(alive, alive)]
    z = normal_quantile(level)
    draws = np.random.default_rng(seed).multivariate_normal(np.zeros(alive.sum()), correlation, 4_000, method="eigh")
    return z, max(z, float(np.quantile(np.abs(draws).max(axis=1), level)))


def _interval(estimate: float, se: float, level: float) -> Interval:
    reach = normal_quantile(level) * se
    return Interval(estimate, estimate - reach, estimate + reach, level)


@dataclass(frozen=True, eq=False)
class TwoWay:
    """The two-way fixed-effects estimate, and what it averages.

    Attributes
    ----------
    effect : Interval
        Coefficient of being a member, in units of the outcome; errors clustered by customer.
    weights : pandas.DataFrame
        ``cohort``, ``period``, ``weight``: under parallel trends the coefficient estimates the sum of weight times
        ATT(g, t); the weights add up to 1.
    negative : float
        Sum of the negative weights, as a positive number; 0 if there is none.
    """

    effect: Interval
    weights: pd.DataFrame
    negative: float

    def __repr__(self) -> str:
        return f"Two-way fixed effects: {self.effect}\n  negative weights add up to {self.negative:.1%}"


def two_way_effect(
    outcome: pd.DataFrame, joined: pd.Series, *, clusters: pd.Series | None = None, level: float = 0.95
) -> TwoWay:
    r"""Regress the outcome on membership with an effect for each customer and each period: the contrast.

    .. math:: Y_{it} = \alpha_i + \lambda_t + \beta D_{it} + \varepsilon_{it}

    Where effects differ by cohort or grow with time, members of long standing serve as controls for new ones, and some
    effects enter the coefficient with a negative weight. Use `group_time_effects` for the effect itself.

    Parameters and errors are those of `group_time_effects`.

    References
    ----------
    Goodman-Bacon, A. (2021). Difference-in-differences with variation in treatment timing. *Journal of Econometrics*
    225, 254-277.
    de Chaisemartin, C. & D'Haultfœuille, X. (2020). Two-way fixed effects estimators with heterogeneous treatment
    effects. *American Economic Review* 110, 2964-2996, theorem 1 (the weights).

    Examples
    --------
    >>> outcome = pd.DataFrame([[1.0, 1.0, 4.0], [2.0, 2.0, 3.0], [0.0, 1.0, 1.0], [3.0, 2.0, 3.0]])
    >>> round(two_way_effect(outcome, pd.Series([2, 2, np.nan, np.nan])).effect.estimate, 6)
    1.5
    """
    import statsmodels.api as sm

    check_level(level)
    study = read_study(outcome, joined, None, 0, clusters)
    n, periods = study.outcome.shape
    member = (np.arange(periods) >= study.joined[:, None]).astype(float)
    left = _within_both(member)
    if np.allclose(left, 0):
        raise ContractError("membership follows from customer and period alone: somebody has to join at another time")
    fit = sm.OLS(_within_both(study.outcome).ravel(), left.ravel()).fit(
        cov_type="cluster", cov_kwds={"groups": np.repeat(study.clusters, periods)}
    )
    cells = pd.DataFrame(
        {
            "cohort": np.repeat(study.joined, periods),
            "period": np.tile(np.arange(periods), n),
            "weight": (left * member).ravel() / (left * member).sum(),
        }
    )[member.ravel() == 1]
    weights = cells.groupby(["cohort", "period"], as_index=False)["weight"].sum().astype({"cohort": "int64"})
    weights[["cohort", "period"]] += study.first
    negative = float(weights["weight"].clip(upper=0).abs().sum())
    return TwoWay(_interval(float(fit.params[0]), float(fit.bse[0]), level), weights, negative)


def _within_both(table: "Floats") -> "Floats":
    return np.asarray(table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + table.mean())


@dataclass(frozen=True, eq=False)
class Encouragement:
    """What an invitation caused, and what joining caused in those who joined because of it.

    Attributes
    ----------
    intention : Interval
        Effect of being invited on the outcome, per invited customer and period (intention to treat).
    uptake : Interval
        Effect of being invited on membership: the share of the time that the invited are members.
    complier : Interval
        `intention` over `uptake`: effect of a full period of membership on the outcome of those who join if invited.
        Fieller's limits; infinite where the uptake cannot be told from zero.
    first_stage_f : float
        F of the uptake; below 10 the instrument is weak.
    """

    intention: Interval
    uptake: Interval
    complier: Interval
    first_stage_f: float

    def __repr__(self) -> str:
        lines = {"invited": self.intention, "uptake": self.uptake, "compliers": self.complier}
        told = [f"  {name:<10} {one}" for name, one in lines.items()]
        return "\n".join(["Effect of an invitation in waves", *told, f"  F of uptake {self.first_stage_f:,.0f}"])


def encouraged_effect(
    outcome: pd.DataFrame,
    exposure: pd.DataFrame,
    invited: pd.Series,
    *,
    last: int | None = None,
    clusters: pd.Series | None = None,
    level: float = 0.95,
) -> Encouragement:
    r"""Effect of joining from an invitation that reached customers in waves drawn by lot.

    The invited are compared with those not yet invited, for the outcome and for membership; the ratio is two-stage
    least squares with one instrument. Change is counted from the mean of all periods before the invitation. Whoever
    joins without an invitation, or never, is a part of the comparison, so that nobody's choice of the day enters it.

    .. math:: \theta = \frac{\text{effect of the invitation on the outcome}}{\text{its effect on membership}}

    It needs: waves drawn by lot (or parallel trends between them); an invitation that changes buying through joining
    only; nobody who joins because not invited.

    Parameters
    ----------
    outcome : pandas.DataFrame, shape (customers, periods)
        As for `group_time_effects`.
    exposure : pandas.DataFrame, same shape
        Membership: share of the period as a member, 0 to 1, such as ``Panel.exposure``.
    invited : pandas.Series, shape (customers,)
        Period of the invitation; missing for never.
    last : int, optional
        Latest period since the invitation that counts.
    clusters, level
        As for `group_time_effects`. Where whole regions are invited and share luck, give the regions.

    Raises
    ------
    ContractError
        If the input is not as described, or membership does not vary.

    References
    ----------
    Imbens, G. W. & Angrist, J. D. (1994). Identification and estimation of local average treatment effects.
    *Econometrica* 62, 467-475.
    Fieller, E. C. (1954). Some problems in interval estimation. *Journal of the Royal Statistical Society B* 16,
    175-185.

    Examples
    --------
    >>> outcome = pd.DataFrame([[1.0, 1, 4], [2, 2, 3], [0, 1, 1], [3, 2, 3]])
    >>> exposure = pd.DataFrame([[0.0, 0, 1], [0, 0, 0], [0, 0, 0], [0, 0, 0]])
    >>> encouraged_effect(outcome, exposure, pd.Series([2, 2, np.nan, np.nan])).complier.estimate
    3.0
    """
    if not (isinstance(exposure, pd.DataFrame) and exposure.columns.equals(outcome.columns)):
        raise ContractError("exposure must be a DataFrame with the columns of outcome")
    if ((exposure < 0) | (exposure > 1)).to_numpy().any():
        raise ContractError("exposure must lie between 0 and 1: the share of a period spent as a member")
    found = [
        group_time_effects(one, invited, base="mean", clusters=clusters, level=level) for one in (outcome, exposure)
    ]
    (itt, psi), (uptake, psi_uptake) = (_average(one, _within(one, 0, last)) for one in found)
    shared = covariance(np.column_stack([psi, psi_uptake]), found[0].clusters)
    se = np.sqrt(np.diag(shared))
    return Encouragement(
        _interval(itt, float(se[0]), level),
        _interval(uptake, float(se[1]), level),
        _fieller(itt, uptake, shared, level),
        float((uptake / se[1]) ** 2) if se[1] > 0 else np.inf,
    )


def _fieller(above: float, below: float, shared: "Floats", level: float) -> Interval:
    """All ratios r for which above - r × below lies within its limits around zero."""
    z = normal_quantile(level)
    a, b = below**2 - z**2 * shared[1, 1], above * below - z**2 * shared[0, 1]
    c = above**2 - z**2 * shared[0, 0]
    if a <= 0:
        return Interval(above / below, -np.inf, np.inf, level)
    root = float(np.sqrt(max(b**2 - a * c, 0.0)))
    return Interval(above / below, (b - root) / a, (b + root) / a, level)
