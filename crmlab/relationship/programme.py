"""What a loyalty programme caused, when members chose for themselves whether and when to join.

The effect of each cohort of joiners in each period is estimated on its own and then averaged, so that nobody who has
joined already serves as a control. Whether to believe it is asked in `crmlab.relationship.programme_trends`.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from crmlab.contracts import one_of
from crmlab.errors import ContractError
from crmlab.relationship.programme_inputs import Study, normal_quantile, read_study
from crmlab.stats import check_level

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

Controls = Literal["not_yet", "never"]
Base = Literal["last", "mean"]


@dataclass(frozen=True, eq=False)
class GroupTimeEffects:
    """The effect of joining on each cohort of joiners in each period, ATT(g, t).

    Attributes
    ----------
    table : pandas.DataFrame, one row per cohort and period
        ``cohort`` (period of joining), ``period``, ``event_time`` (period minus cohort), ``estimate``, ``se``, ``low``,
        ``high``, ``customers`` of the cohort and ``controls``. Before joining the estimate is no effect but a test.
    influence : ndarray, shape (customers, rows of `table`)
        Influence function of each estimate; from it come the errors of every average of them.
    cohort_of : ndarray, shape (customers,)
        Period of joining, infinite for whoever did not.
    clusters : ndarray of int, shape (customers,)
        Number of the group that a customer's error is clustered in.
    controls : {"not_yet", "never"}
        Whom cohorts are compared with.
    base : {"last", "mean"}
        Period from which change is counted: the last before joining and `anticipation`, or the mean of all before it.
    anticipation : int
        Periods before joining in which buying may already be out of line; the base lies before them.
    level : float
        Confidence level.
    left_out : tuple of str
        Cohorts and periods without an estimate, with the reason.
    """

    table: pd.DataFrame
    influence: "Floats"
    cohort_of: "Floats"
    clusters: "npt.NDArray[np.int64]"
    controls: Controls
    base: Base
    anticipation: int
    level: float
    left_out: tuple[str, ...]

    def __repr__(self) -> str:
        whom = {"not_yet": "who has not joined by then", "never": "who never joined"}[self.controls]
        since = {"last": f"event time {-1 - self.anticipation}", "mean": "the mean of all periods before"}[self.base]
        lines = [
            f"Group-time effects: {self.table['cohort'].nunique()} cohorts, {len(self.table)} estimates",
            f"  effect   change of a cohort since {since}, minus that of {whom}",
            f"  errors   influence functions, clustered in {self.clusters.max() + 1:,} groups",
        ]
        return "\n".join([*lines, *(f"  left out {line}" for line in self.left_out)])


def group_time_effects(
    outcome: pd.DataFrame,
    joined: pd.Series,
    *,
    controls: Controls = "not_yet",
    base: Base = "last",
    covariates: pd.DataFrame | None = None,
    anticipation: int = 0,
    clusters: pd.Series | None = None,
    level: float = 0.95,
) -> GroupTimeEffects:
    r"""Effect of joining by cohort and period, from differences to the last period before joining.

    .. math:: ATT(g,t) = E[Y_t - Y_{g-1-a} \mid G = g] - E[Y_t - Y_{g-1-a} \mid C]

    with period of joining G, anticipation a, and controls C who have not joined by period t + a. It is the effect if,
    without joining, both would have changed by the same amount (parallel trends). With `covariates` it is enough that
    this holds among customers with equal covariates: the doubly robust estimator is right if either the regression of
    the change or the chance of belonging to the cohort is modelled rightly.

    Parameters
    ----------
    outcome : pandas.DataFrame, shape (customers, periods)
        Outcome of every customer in every period; columns are consecutive whole numbers.
    joined : pandas.Series, shape (customers,)
        Period of joining with the same index; missing for never. Cohorts that joined in or before the first period,
        or have no base period, are left out and named.
    controls : {"not_yet", "never"}, default "not_yet"
        Compare with everybody who has not joined by then, or only with those who never do.
    base : {"last", "mean"}, default "last"
        Count change from the last period before joining, as the formula does, or from the mean of all periods before.
        The mean is more precise and has no estimates before joining to test; take it when the day was drawn by lot.
    covariates : pandas.DataFrame, shape (customers, k), optional
        Numbers known **before** the first joining.
    anticipation : int, default 0
        Periods before joining to be left out of the base, 0 or more.
    clusters : pandas.Series, optional
        Group of each customer, if whole groups share luck (stores, regions); at least 10. Default: each customer.
    level : float, default 0.95
        Confidence level of the pointwise intervals.

    Raises
    ------
    ContractError
        If inputs are misaligned, missing, not finite or constant, nobody joined, or no control is left.

    References
    ----------
    Callaway, B. & Sant'Anna, P. H. C. (2021). Difference-in-differences with multiple time periods. *Journal of
    Econometrics* 225, 200-230, section 2.
    Sant'Anna, P. H. C. & Zhao, J. (2020). Doubly robust difference-in-differences estimators. *Journal of Econometrics*
    219, 101-122, section 3.

    Examples
    --------
    >>> outcome = pd.DataFrame([[1.0, 1.0, 4.0], [2.0, 2.0, 3.0], [0.0, 1.0, 1.0], [3.0, 2.0, 3.0]])
    >>> effects = group_time_effects(outcome, pd.Series([2, 2, np.nan, np.nan]))
    >>> effects.table[["cohort", "period", "estimate", "customers", "controls"]]
       cohort  period  estimate  customers  controls
    0       2       0       0.0          2         2
    1       2       2       1.5          2         2
    """
    one_of("controls", controls, Controls)
    one_of("base", base, Base)
    check_level(level)
    study = read_study(outcome, joined, covariates, anticipation, clusters)
    found, influence, left_out = [], [], list(study.left_out)
    for cohort in study.cohorts:
        before = study.outcome[:, : cohort - anticipation]
        change = study.outcome - (before.mean(axis=1) if base == "mean" else before[:, -1])[:, None]
        for periods, free in _control_sets(study, cohort, controls, base, anticipation):
            try:
                cells, psi = _cells(study, cohort, periods, free, change[:, periods])
            except ContractError as error:
                left_out.append(f"cohort {cohort + study.first} in {len(periods)} periods: {error}")
                continue
            found.append(cells)
            influence.append(psi)
    if not any((cells["period"] >= cells["cohort"]).any() for cells in found):
        raise ContractError("no effect can be estimated: no cohort has joiners, a base period and controls", left_out)
    psi = np.hstack(influence)
    table = _with_limits(pd.concat(found, ignore_index=True), covariance(psi, study.clusters), level)
    table[["cohort", "period"]] += study.first
    told = _summed(left_out)
    cohort_of = study.joined + study.first
    return GroupTimeEffects(table, psi, cohort_of, study.clusters, controls, base, anticipation, level, told)


def _cells(
    study: Study,
    cohort: int,
    periods: "npt.NDArray[np.int64]",
    free: "npt.NDArray[np.bool_]",
    change: "Floats",
) -> "tuple[pd.DataFrame, Floats]":
    """Estimates of a cohort in periods with the same controls, and influence functions, shape (customers, periods)."""
    treated = study.joined == cohort
    if min(treated.sum(), free.sum()) < 2:
        raise ContractError("fewer than two joiners or controls")
    used = np.flatnonzero(treated | free)
    estimates, own = _differences(study, used, treated[used], change[used])
    psi = np.zeros(change.shape)
    psi[used] = len(psi) / len(used) * own
    sizes = {"customers": treated.sum(), "controls": free.sum()}
    return pd.DataFrame({"cohort": cohort, "period": periods, "estimate": estimates} | sizes), psi


def _with_limits(table: pd.DataFrame, shared: "Floats", level: float) -> pd.DataFrame:
    """The cells with event time, standard errors and pointwise limits, columns in the order of `GroupTimeEffects`."""
    se = np.sqrt(np.diag(shared))
    reach = normal_quantile(level) * se
    table = table.assign(event_time=table["period"] - table["cohort"], se=se)
    table = table.assign(low=table["estimate"] - reach, high=table["estimate"] + reach)
    return table[["cohort", "period", "event_time", "estimate", "se", "low", "high", "customers", "controls"]]


def _control_sets(
    study: Study, cohort: int, controls: Controls, base: Base, anticipation: int
) -> "Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]]":
    """The periods of a cohort that share their controls, and who these are."""
    last = cohort - 1 - anticipation
    before = np.arange(0 if base == "last" else last, last)
    after = np.arange(last + 1, study.outcome.shape[1])
    if controls == "never":
        yield np.concatenate([before, after]), np.isinf(study.joined)
        return
    sets = [before, *np.split(after, len(after))] if len(before) else np.split(after, len(after))
    for periods in sets:
        yield periods, (study.joined > max(periods[-1], last) + anticipation) & (study.joined != cohort)


def _summed(left_out: list[str]) -> tuple[str, ...]:
    return tuple(
        left_out if len(left_out) <= 3 else [*left_out[:2], f"and {len(left_out) - 2} more cohorts or periods"]
    )


def _differences(
    study: Study, used: "npt.NDArray[np.int64]", treated: "npt.NDArray[np.bool_]", change: "Floats"
) -> "tuple[Floats, Floats]":
    """Differences in differences of some periods, shape (k,), and their influence functions, shape (used, k)."""
    d = treated.astype(float)[:, None]
    if study.covariates is not None:
        return _doubly_robust(study.covariates[used], d, change)
    joiners, others, share = change[treated].mean(axis=0), change[~treated].mean(axis=0), d.mean()
    return joiners - others, d / share * (change - joiners) - (1 - d) / (1 - share) * (change - others)


def _doubly_robust(x: "Floats", d: "Floats", change: "Floats") -> "tuple[Floats, Floats]":
    """Sant'Anna & Zhao (2020) with logit and least squares, and the influence function of their appendix."""
    import statsmodels.api as sm

    x, n = sm.add_constant(x, has_constant="add"), len(d)
    odds, score = _odds_of_joining(x, d)
    free = d[:, 0] == 0
    residual = change - x @ np.linalg.lstsq(x[free], change[free], rcond=None)[0]
    joiners, others = (d * residual).mean(axis=0) / d.mean(), (odds * residual).mean(axis=0) / odds.mean()
    bread = np.linalg.inv((x * (1 - d)).T @ x / n)

    def from_slopes(weight: "Floats") -> "Floats":
        return (1 - d) * residual * (x @ bread @ (weight * x).mean(axis=0))[:, None]

    treated = d * (residual - joiners) - from_slopes(d)
    controls = odds * (residual - others)
    controls = controls + score @ (x.T @ controls / n) - from_slopes(odds)
    return joiners - others, treated / d.mean() - controls / odds.mean()


def _odds_of_joining(x: "Floats", d: "Floats") -> "tuple[Floats, Floats]":
    """Odds to belong to the joiners, zero for these, and the influence of each customer on the logit behind them."""
    import statsmodels.api as sm

    if np.linalg.matrix_rank(x[d[:, 0] == 0]) < x.shape[1]:
        raise ContractError("the covariates repeat one another among the controls; leave some out")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # separation is looked for below
        logit = sm.GLM(d, x, family=sm.families.Binomial()).fit(maxiter=50)
    chance = logit.predict(x)[:, None]
    if not logit.converged or chance[d == 0].max() > 0.999 or np.abs(logit.params).max() > 15:
        raise ContractError("the covariates tell joiners from controls for certain; coarsen them")
    return chance * (1 - d) / (1 - chance), (d - chance) * x @ (logit.normalized_cov_params * len(d))


def covariance(influence: "Floats", clusters: "npt.NDArray[np.int64]") -> "Floats":
    """Covariance of estimates from their influence functions, shape (customers, k), summed within clusters."""
    groups = int(clusters.max()) + 1
    sums = np.zeros((groups, influence.shape[1]))
    np.add.at(sums, clusters, influence)
    return sums.T @ sums / len(influence) ** 2 * groups / (groups - 1)
