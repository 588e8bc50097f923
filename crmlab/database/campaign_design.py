"""Design a campaign with a control group: how many customers it needs, and whether the draw was fair."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from crmlab.contracts import aligned
from crmlab.database.experiment import covariates, read_experiment
from crmlab.errors import ContractError


@dataclass(frozen=True)
class TestPlan:
    """A test of a campaign: four numbers, of which any three give the fourth.

    With :math:`s` the share treated of :math:`n` customers and :math:`\\sigma_1, \\sigma_0` the standard deviations in
    the arms, the error of the difference is :math:`\\sqrt{\\sigma_1^2/(sn) + \\sigma_0^2/((1-s)n)}`.

    Attributes
    ----------
    customers : int
        Both arms together.
    difference : float
        True effect per customer, treated minus control, that the test is made for.
    power : float
        Chance of a significant result if `difference` is true.
    alpha : float
        Two-sided significance level: the chance of a significant result without any effect.
    treated_share : float
        Share of the customers who are contacted.
    baseline : float or None
        Response rate without the campaign, for a share.
    sd : float or None
        Standard deviation of the outcome in each arm, for a mean.
    """

    __test__ = False  # no test case of pytest

    customers: int
    difference: float
    power: float
    alpha: float
    treated_share: float
    baseline: float | None = None
    sd: float | None = None

    @property
    def standard_error(self) -> float:
        """Of the difference that the test will measure."""
        return _spread(self.baseline, self.sd, self.difference, self.treated_share) / float(np.sqrt(self.customers))

    @property
    def exaggeration(self) -> float:
        """Mean size of the significant estimates, in multiples of the true effect (type M error).

        References
        ----------
        Gelman, A. & Carlin, J. (2014). Beyond power calculations. *Perspectives on Psychological Science* 9, 641-651.
        Lu, J., Qiu, Y. & Deng, A. (2019). A note on type S/M errors in hypothesis testing. *British Journal of
        Mathematical and Statistical Psychology* 72, 1-17. (the closed form)
        """
        from scipy.stats import norm

        effect, z = abs(self.difference) / self.standard_error, float(norm.isf(self.alpha / 2))
        mean = norm.pdf(effect + z) + norm.pdf(effect - z) + effect * (norm.cdf(effect + z) + norm.cdf(effect - z) - 1)
        return float(mean / (effect * (norm.sf(z - effect) + norm.cdf(-z - effect))))

    def __repr__(self) -> str:
        of = f"a share, {self.baseline:.4g} without the campaign" if self.sd is None else f"a mean, sd {self.sd:.4g}"
        treated = round(self.customers * self.treated_share)
        return (
            f"Test of {of}: {treated:,} treated, {self.customers - treated:,} control; a difference of "
            f"{self.difference:.4g} is found with chance {self.power:.1%} (alpha {self.alpha:g}, two-sided)"
        )


def plan_test(
    *,
    baseline: float | None = None,
    sd: float | None = None,
    difference: float | None = None,
    customers: int | None = None,
    power: float | None = 0.8,
    treated_share: float = 0.5,
    alpha: float = 0.05,
) -> TestPlan:
    """Sample size, power, or the smallest effect that a test can be expected to find.

    Give `baseline` for a share of customers or `sd` for a mean, and two of `difference`, `customers` and `power`; the
    one left out (None) is computed:

    .. math:: n = (z_{1-\\alpha/2} + z_{power})^2 \\, \\frac{\\sigma_1^2/s + \\sigma_0^2/(1-s)}{\\delta^2}

    with the difference :math:`\\delta`; for a share :math:`\\sigma^2 = p(1-p)` in each arm. This is the power of the
    test that `read_out` makes, by the normal law; with fewer than 30 customers in an arm, or fewer than 10 expected
    responses, it is too hopeful.

    Parameters
    ----------
    baseline : float, optional
        Response rate without the campaign, between 0 and 1.
    sd : float, optional
        Standard deviation of the outcome per customer, in its unit.
    difference : float, optional
        True effect per customer. If it is the one computed: the minimum detectable effect, a rise.
    customers : int, optional
        Both arms together.
    power : float or None, default 0.8
        Chance to find the effect.
    treated_share : float, default 0.5
        Share of the customers who are contacted.
    alpha : float, default 0.05
        Two-sided significance level.

    Raises
    ------
    ContractError
        If too many or too few are given, or one is out of its range.

    References
    ----------
    Fleiss, J. L., Levin, B. & Paik, M. C. (2003). *Statistical Methods for Rates and Proportions*, 3rd ed., ch. 4.

    Examples
    --------
    >>> plan_test(baseline=0.02, difference=0.005)
    Test of a share, 0.02 without the campaign: 13,806 treated, 13,807 control; a difference of 0.005 is found with \
chance 80.0% (alpha 0.05, two-sided)
    """
    from scipy.optimize import brentq
    from statsmodels.stats.power import normal_power_het, normal_sample_size_one_tail

    _check_plan(baseline, sd, difference, customers, power, treated_share, alpha)

    def chance(effect: float, n: int) -> float:
        spread = _spread(baseline, sd, effect, treated_share)
        return float(normal_power_het(effect, n, alpha, std_null=spread, std_alternative=spread))

    if customers is None and difference is not None:
        spread = _spread(baseline, sd, difference, treated_share)
        needed = normal_sample_size_one_tail(abs(difference), power, alpha / 2, std_null=spread, std_alternative=spread)
        customers = int(np.ceil(needed))
    assert customers is not None
    if difference is None:
        assert power is not None
        largest = 1 - baseline - 1e-9 if baseline is not None else 1e3 * (sd or 0)
        if chance(largest, customers) < power:
            raise ContractError(f"no possible effect is found with chance {power:g} among {customers:,} customers")
        target = power
        difference = float(brentq(lambda d: chance(d, customers) - target, 0.0, largest, xtol=1e-12))
    if power is None:
        power = chance(difference, customers)
    return TestPlan(customers, difference, power, alpha, treated_share, baseline, sd)


def _spread(baseline: float | None, sd: float | None, difference: float, share: float) -> float:
    """Standard error of the difference times the root of the number of customers."""
    if baseline is None:
        assert sd is not None
        return sd / float(np.sqrt(share * (1 - share)))
    rate = baseline + difference
    return float(np.sqrt(rate * (1 - rate) / share + baseline * (1 - baseline) / (1 - share)))


def _check_plan(
    baseline: float | None,
    sd: float | None,
    difference: float | None,
    customers: int | None,
    power: float | None,
    treated_share: float,
    alpha: float,
) -> None:
    problems = []
    if (baseline is None) == (sd is None):
        problems.append("give baseline (a share of customers) or sd (a mean), not both and not neither")
    if sum(one is None for one in (difference, customers, power)) != 1:
        problems.append("exactly one of difference, customers and power must be None: it is the one computed")
    for name, value in {"baseline": baseline, "power": power, "treated_share": treated_share, "alpha": alpha}.items():
        if value is not None and not 0 < value < 1:
            problems.append(f"{name} must lie strictly between 0 and 1; got {value}")
    if power is not None and power <= alpha:
        problems.append(f"power must be above alpha, which any test reaches without an effect; got {power}")
    if sd is not None and not 0 < sd < np.inf:
        problems.append(f"sd must be above 0; got {sd}")
    if customers is not None and not (customers >= 4 and customers % 1 == 0):
        problems.append(f"customers must be a whole number of 4 or more; got {customers}")
    if difference is not None and not (np.isfinite(difference) and difference != 0):
        problems.append(f"difference must be a finite number other than 0; got {difference}")
    elif baseline is not None and difference is not None and not 0 <= baseline + difference <= 1:
        problems.append(f"baseline + difference must be a share; got {baseline + difference:g}")
    if problems:
        raise ContractError("this test cannot be planned", problems)


@dataclass(frozen=True, eq=False)
class Balance:
    """Whether treated and control customers were alike before the campaign.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per covariate: ``covariate``, ``treated`` and ``control`` (means), ``smd``, the standardised mean
        difference (in standard deviations of a customer).
    statistic, df, p_value : float, int, float
        Joint test of all covariates: chi-square, its degrees of freedom, its p-value under a fair draw.
    """

    table: pd.DataFrame
    statistic: float
    df: int
    p_value: float

    def __repr__(self) -> str:
        worst = self.table.iloc[int(self.table["smd"].abs().argmax())]
        return (
            f"Balance of {len(self.table)} covariates: largest standardised mean difference {worst['smd']:+.3f} "
            f"({worst['covariate']}); joint chi-square {self.statistic:.1f} on {self.df}, p = {self.p_value:.3f}"
        )


def balance(before: pd.DataFrame | pd.Series, treated: npt.ArrayLike) -> Balance:
    """Compare the arms in what was known before the campaign, one by one and jointly.

    Single differences must exceed chance now and then; the joint test takes their number and correlation into account.

    Parameters
    ----------
    before : pandas.DataFrame or Series, shape (n, k)
        Numbers known before the draw; encode words as columns of 0 and 1.
    treated : array_like of bool or 0/1, shape (n,)
        Who was drawn.

    Raises
    ------
    ContractError
        If a covariate is missing, infinite or constant, or inputs do not fit.

    References
    ----------
    Hansen, B. B. & Bowers, J. (2008). Covariate balance in simple, stratified and clustered comparative studies.
    *Statistical Science* 23, 219-236.

    Examples
    --------
    >>> balance(pd.DataFrame({"age": [30, 40, 50, 60]}), [1, 0, 0, 1]).table
      covariate  treated  control  smd
    0       age     45.0     45.0  0.0
    """
    from scipy.stats import chi2

    x = covariates(before, treated)
    _, t = read_experiment(x[:, 0], treated)
    one, two = x[t], x[~t]
    gap = one.mean(axis=0) - two.mean(axis=0)
    pooled = np.sqrt((one.var(axis=0, ddof=1) + two.var(axis=0, ddof=1)) / 2)
    smd = np.divide(gap, pooled, out=np.full_like(gap, np.inf), where=pooled > 0)
    standard = (x - x.mean(axis=0)) / x.std(axis=0, ddof=1)
    spread = np.cov(standard, rowvar=False).reshape(x.shape[1], -1)
    shift = standard[t].mean(axis=0) - standard[~t].mean(axis=0)
    df = int(np.linalg.matrix_rank(spread, hermitian=True))
    statistic = float(shift @ np.linalg.pinv(spread, hermitian=True) @ shift * len(one) * len(two) / len(x))
    names = before.columns if isinstance(before, pd.DataFrame) else [before.name]
    table = pd.DataFrame({"covariate": names, "treated": one.mean(axis=0), "control": two.mean(axis=0), "smd": smd})
    return Balance(table, statistic, df, float(chi2.sf(statistic, df)))


def sample_ratio_p_value(customers: Sequence[int], shares: Sequence[float]) -> float:
    """P-value of a sample-ratio mismatch: did the arms get the shares that the design gave them?

    Below 0.001 look for the fault (lost records, a broken draw) before reading anything else.

    Parameters
    ----------
    customers : sequence of int
        Customers found in each arm.
    shares : sequence of float
        Designed share of each arm; they add up to 1.

    Raises
    ------
    ContractError
        If the two do not fit, a count is below 0 or the shares do not add up to 1.

    References
    ----------
    Fabijan, A. et al. (2019). Diagnosing sample ratio mismatch in online controlled experiments. *KDD*, 2156-2164.

    Examples
    --------
    >>> round(sample_ratio_p_value([5_150, 4_850], [0.5, 0.5]), 4)
    0.0027
    """
    from scipy.stats import chisquare

    counts, designed = aligned("a sample ratio", customers=customers, shares=shares).to_numpy().T
    if len(counts) < 2 or not (counts >= 0).all() or not counts.any() or not (designed > 0).all():
        raise ContractError(f"need a count and a share above 0 for each arm; got {list(customers)} and {list(shares)}")
    if not np.isclose(designed.sum(), 1):
        raise ContractError(f"the designed shares must add up to 1; they add up to {designed.sum():g}")
    return float(chisquare(counts, designed * counts.sum()).pvalue)
