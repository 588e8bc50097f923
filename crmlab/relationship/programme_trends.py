"""Would members have bought as others did, had they not joined? What a test before joining can and cannot say."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crmlab.errors import ContractError
from crmlab.relationship.programme_averages import Averages
from crmlab.relationship.programme_inputs import normal_quantile
from crmlab.stats import check_level

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TrendTest:
    """A joint test that nothing differs before joining, and what it would have seen.

    Attributes
    ----------
    statistic, df, p_value : float, int, float
        Wald statistic of all estimates before joining, chi-square with `df` degrees of freedom if none differs.
    alpha : float
        Level of the test.
    slope_seen : float
        The steady difference in trend, per period and in units of the outcome, that the test would find with chance
        `power`.
    power : float
        That chance.
    bias_unseen : float
        What such a trend, going on after joining, would add to the mean effect since joining.
    """

    statistic: float
    df: int
    p_value: float
    alpha: float
    slope_seen: float
    power: float
    bias_unseen: float

    @property
    def passed(self) -> bool:
        """Whether no difference was found; it does not follow that there is none."""
        return self.p_value >= self.alpha

    def __repr__(self) -> str:
        verdict = "no difference found" if self.passed else "members differed before they joined"
        test = f"chi-square {self.statistic:.1f} with {self.df} df, p = {self.p_value:.3f}"
        return (
            f"Trends before joining: {test}: {verdict}\n"
            f"  a trend of {self.slope_seen:.3g} a period would be found with chance {self.power:.0%};\n"
            f"  going on after joining, it would add {self.bias_unseen:.3g} to the mean effect"
        )


def pre_trend_test(study: Averages, *, alpha: float = 0.05, power: float = 0.5) -> TrendTest:
    r"""Test that estimates before joining are zero, and say how large a trend it would miss.

    .. math:: W = \hat\beta_{pre}^\top \hat\Sigma_{pre}^{-1} \hat\beta_{pre} \sim \chi^2_k

    if all are zero; under a steady trend with slope s, non-central with :math:`s^2 d^\top \Sigma_{pre}^{-1} d`, where d
    counts periods from the base. The slope with chance `power` follows by solving for s. A test that passes is
    evidence only against trends that it would have seen, and says nothing about what begins on the day of joining.

    Parameters
    ----------
    study : Averages
        An event study, from `effects_by`, with periods before the base.
    alpha : float, default 0.05
        Level of the test.
    power : float, default 0.5
        Chance with which the reported slope would be found, above `alpha`.

    Raises
    ------
    ContractError
        If `study` is no event study, has no period before its base or none from joining on.

    References
    ----------
    Roth, J. (2022). Pretest with caution: event-study estimates after testing for parallel trends. *American Economic
    Review: Insights* 4, 305-322. (There a pre-trend is seen if any single estimate is significant; here all jointly.)

    Examples
    --------
    >>> outcome = pd.DataFrame([[1.0, 1, 4], [2, 2, 3], [0, 1, 1], [3, 2, 3], [2, 4, 4], [1, 0, 1]])
    >>> from crmlab.relationship.programme import group_time_effects
    >>> from crmlab.relationship.programme_averages import effects_by
    >>> effects = group_time_effects(outcome, pd.Series([2, 2, np.nan, np.nan, np.nan, np.nan]))
    >>> pre_trend_test(effects_by(effects)).passed
    True
    """
    from scipy.optimize import brentq
    from scipy.stats import chi2, ncx2

    check_level(alpha)
    if not alpha < power < 1:
        raise ContractError(f"power must lie between alpha and 1; got alpha={alpha}, power={power}")
    pre, post = _halves(study)
    estimate, shared = pre["estimate"].to_numpy(), study.covariance.loc[pre.index, pre.index].to_numpy()
    inverse, df = np.linalg.pinv(shared, hermitian=True), int(np.linalg.matrix_rank(shared, hermitian=True))
    statistic, limit = float(estimate @ inverse @ estimate), float(chi2.ppf(1 - alpha, df))
    needed = brentq(lambda nc: ncx2.sf(limit, df, nc) - power, 1e-9, 1e4)
    steps = pre.index.to_numpy(float) - study.base
    slope = float(np.sqrt(needed / (steps @ inverse @ steps)))
    ahead = float(np.average(post.index.to_numpy(float) - study.base, weights=post["customers"]))
    return TrendTest(statistic, df, float(chi2.sf(statistic, df)), alpha, slope, power, slope * ahead)


@dataclass(frozen=True, eq=False)
class Sensitivity:
    """How large a violation of parallel trends the mean effect survives.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per `times`, the largest violation after joining as a multiple of the largest before: ``bias`` (how far
        the mean effect may be off), ``low``, ``high`` (limits with sampling error).
    estimate : float
        Mean effect per member and period since joining.
    step_before : float
        Largest change of the estimates from one period to the next before joining.
    undone_at : float
        The multiple from which the limits hold zero; 0 if they do without any violation.
    """

    table: pd.DataFrame
    estimate: float
    step_before: float
    undone_at: float

    def __repr__(self) -> str:
        return (
            f"Mean effect {self.estimate:.3g}; largest step between periods before joining {self.step_before:.3g}\n"
            f"{self.table.round(3).to_string()}\n"
            f"  zero cannot be excluded from a violation {self.undone_at:.2f} times as large"
        )


def sensitivity(study: Averages, times: Sequence[float] = (0.0, 0.5, 1.0, 2.0)) -> Sensitivity:
    r"""Bounds of the mean effect when trends may part after joining, in multiples of what was seen before.

    If from one period to the next the two trends part by at most m times the largest step seen before joining, then e
    periods after the base they have parted by at most :math:`m\,e\,\Delta_{pre}`, and the mean effect is off by at most

    .. math::
        b(m) = m\,\Delta_{pre} \sum_e w_e\,(e - base), \qquad
        \Delta_{pre} = \max_{e \le base} |\beta_e - \beta_{e-1}|

    with weights w of the event times. The limits are the estimate ± (b(m) + z s). These are the bounds of *relative
    magnitudes* in their plainest form: the step before is taken as known. It is the largest of noisy numbers, and so on
    the large side; the intervals of the paper allow for its error.

    Parameters
    ----------
    study : Averages
        An event study, from `effects_by`, with periods before the base.
    times : sequence of float
        Multiples m, 0 or more.

    Raises
    ------
    ContractError
        If `study` is no event study, has no period before its base or none from joining on, or a multiple is negative.

    References
    ----------
    Rambachan, A. & Roth, J. (2023). A more credible approach to parallel trends. *Review of Economic Studies* 90,
    2555-2591, section 2.

    Examples
    --------
    >>> outcome = pd.DataFrame([[1.0, 1, 4], [2, 2, 3], [0, 1, 1], [3, 2, 3], [2, 4, 4], [1, 0, 1]])
    >>> from crmlab.relationship.programme import group_time_effects
    >>> from crmlab.relationship.programme_averages import effects_by
    >>> effects = group_time_effects(outcome, pd.Series([2, 2, np.nan, np.nan, np.nan, np.nan]))
    >>> sensitivity(effects_by(effects), [1]).table["bias"].tolist()
    [0.25]
    """
    multiples = np.asarray(list(times), dtype=float)
    if not multiples.size or not (np.isfinite(multiples) & (multiples >= 0)).all():
        raise ContractError(f"times must be multiples of 0 or more; got {list(times)}")
    pre, post = _halves(study)
    path = np.append(pre["estimate"].to_numpy(), 0.0)[np.argsort(np.append(pre.index, study.base))]
    step = float(np.abs(np.diff(path)).max())
    weight = (post["customers"] / post["customers"].sum()).to_numpy()
    estimate = float(weight @ post["estimate"])
    se = float(np.sqrt(weight @ study.covariance.loc[post.index, post.index].to_numpy() @ weight))
    reach = normal_quantile(study.level) * se
    unit = step * float(weight @ (post.index.to_numpy(float) - study.base))
    bias = multiples * unit
    table = pd.DataFrame(
        {"bias": bias, "low": estimate - bias - reach, "high": estimate + bias + reach},
        index=pd.Index(multiples, name="times"),
    )
    spare = max(abs(estimate) - reach, 0.0)
    return Sensitivity(table, estimate, step, spare / unit if unit > 0 else np.inf)


def _halves(study: Averages) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows before the base, and rows from joining on."""
    if not isinstance(study, Averages) or study.by != "event_time":
        raise ContractError("an event study is needed: effects_by(effects, 'event_time')")
    pre, post = study.table[study.table.index < study.base], study.table[study.table.index >= 0]
    if pre.empty or post.empty:
        found = f"event times {study.table.index.min()} to {study.table.index.max()}, base {study.base}"
        raise ContractError(
            f"periods before the base and from joining on are needed; found {found}: begin the panel earlier, and "
            "count change from the last period (base='last')"
        )
    return pre, post
