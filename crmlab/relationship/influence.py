"""What peers do to a purchase, by an instrument that was drawn at random: two-stage least squares."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from crmlab.contracts import broken_rules, require_columns
from crmlab.errors import ContractError
from crmlab.stats import check_level

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class InstrumentedEffect:
    """The effect of a treatment on an outcome by one instrument, with everything one must look at beside it.

    Attributes
    ----------
    table : pandas.DataFrame, shape (4, 5)
        Rows ``least squares`` (outcome on treatment), ``first stage`` (treatment on instrument), ``reduced form``
        (outcome on instrument), ``two-stage least squares``; columns ``estimate``, ``std_error``, ``low``, ``high``,
        ``p_value``. The last estimate is the third over the second.
    first_stage_f : float
        Squared t of the instrument in the first stage: below about 10 the fourth row is not to be trusted.
    weak_low, weak_high : float
        Anderson-Rubin interval of the effect, right however weak the instrument is; infinite if it says nothing.
    rows, clusters : int
        Size of the data.
    level : float
        Confidence level.
    """

    table: pd.DataFrame
    first_stage_f: float
    weak_low: float
    weak_high: float
    rows: int
    clusters: int
    level: float

    def __repr__(self) -> str:
        return (
            f"{self.rows:,} rows in {self.clusters:,} clusters, errors clustered, {self.level:.0%} intervals\n"
            f"{self.table.round(4).to_string()}\nF of the first stage {self.first_stage_f:.1f}; "
            f"Anderson-Rubin interval {self.weak_low:.3g} to {self.weak_high:.3g}"
        )


def two_stage_least_squares(
    frame: pd.DataFrame,
    *,
    outcome: str,
    treatment: str,
    instrument: str,
    cluster: str,
    controls: Sequence[str] = (),
    level: float = 0.95,
) -> InstrumentedEffect:
    r"""Effect of a treatment that was not randomised, by an instrument that was.

    With :math:`X` (treatment, controls, constant) and :math:`Z` (instrument, controls, constant)
    :math:`\hat\beta = (\hat X'\hat X)^{-1}\hat X'y` with :math:`\hat X = Z(Z'Z)^{-1}Z'X`, and covariance
    :math:`c\,(\hat X'\hat X)^{-1}\bigl(\sum_g \hat X_g'u_g u_g'\hat X_g\bigr)(\hat X'\hat X)^{-1}` with
    :math:`u = y - X\hat\beta`, clusters :math:`g = 1..G` and :math:`c = \frac{G}{G-1}\frac{n-1}{n-k}`. Intervals are
    those of Student's t with :math:`G - 1` degrees of freedom.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row per unit, without missing values in the columns named.
    outcome, treatment, instrument : str
        Columns of numbers. The instrument moves the treatment and touches the outcome in no other way.
    cluster : str
        Column that names the clusters: at least the units among which the instrument was drawn.
    controls : sequence of str, optional
        Further columns; those that hold no numbers become indicator variables.
    level : float, default 0.95
        Confidence level.

    Returns
    -------
    InstrumentedEffect

    Raises
    ------
    ContractError
        If columns are missing or named twice, values are missing or not finite, a column is constant or follows from
        the others, or there are fewer than two clusters, or fewer rows than needed.

    References
    ----------
    Wooldridge, J. M. (2010). *Econometric Analysis of Cross Section and Panel Data*, 2nd ed., ch. 5 and 20. MIT Press.
    Anderson, T. W. & Rubin, H. (1949). Estimation of the parameters of a single equation in a complete system of
    stochastic equations. *Annals of Mathematical Statistics* 20, 46-63.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> town = pd.DataFrame({"town": np.arange(10_000) // 10, "draw": np.arange(10_000) // 10 % 2})
    >>> mood = rng.normal(size=10_000)  # moves friends and the customer alike
    >>> town["friends"] = town["draw"] + mood
    >>> town["bought"] = 0.5 * town["friends"] + mood
    >>> columns = {"outcome": "bought", "treatment": "friends", "instrument": "draw", "cluster": "town"}
    >>> found = two_stage_least_squares(town, **columns).table["estimate"]
    >>> found[["least squares", "two-stage least squares"]].round(1).tolist()
    [1.3, 0.5]
    """
    numbers = [outcome, treatment, instrument]
    named = [*numbers, *controls]
    require_columns(frame, [*named, cluster], "two_stage_least_squares")
    if twice := sorted({name for name in named if named.count(name) > 1}):
        raise ContractError(f"a column has two roles, or is there twice: {', '.join(twice)}")
    y, d, z, others, groups = _read(frame, numbers, cluster, controls)
    check_level(level)
    from scipy.stats import t

    by_treatment, by_instrument = np.column_stack([d, others]), np.column_stack([z, others])
    if (
        min(map(np.linalg.matrix_rank, (by_treatment, by_instrument))) < by_treatment.shape[1]
        or len(y) <= 1 + by_treatment.shape[1]
    ):
        raise ContractError("a column follows from the others, or there are more columns than rows: leave controls out")
    fits = {
        "least squares": _fit(y, by_treatment, by_treatment, groups),
        "first stage": _fit(d, by_instrument, by_instrument, groups),
        "reduced form": _fit(y, by_instrument, by_instrument, groups),
        "two-stage least squares": _fit(y, by_treatment, by_instrument, groups),
    }
    table = pd.DataFrame({name: fit[:2] for name, fit in fits.items()}, index=["estimate", "std_error"]).T
    degrees = int(groups.max())
    reach = t.ppf((1 + level) / 2, degrees)
    table["low"], table["high"] = (table["estimate"] + sign * reach * table["std_error"] for sign in (-1, 1))
    ratio = table["estimate"] / table["std_error"]
    table["p_value"] = 2 * t.sf(ratio.abs(), degrees)
    low, high = _anderson_rubin(
        fits["first stage"], fits["reduced form"], float(reach) ** 2, len(y), by_instrument.shape[1]
    )
    return InstrumentedEffect(table, float(ratio["first stage"] ** 2), low, high, len(y), degrees + 1, level)


def _read(
    frame: pd.DataFrame, numbers: Sequence[str], cluster: str, controls: Sequence[str]
) -> "tuple[Array, Array, Array, Array, Array]":
    """Outcome, treatment, instrument, controls with a constant, and the number of the cluster."""
    frame = frame.reset_index(drop=True)  # an index may repeat
    table = frame[list(controls)]
    words = list(table.select_dtypes(exclude=["number", "bool"]))
    others = pd.get_dummies(table, columns=words, drop_first=True) if words else table
    values = frame[list(numbers)].apply(pd.to_numeric, errors="coerce").join(others).astype("float64")
    rules = {f"{name}: not a finite number": ~np.isfinite(values[name]) for name in values}
    named = [cluster, *words]
    problems = broken_rules(rules | {f"{name}: missing": frame[name].isna() for name in named})
    if not problems:
        problems = [f"{name}: the same value in every row" for name in values if values[name].nunique() < 2]
    if not problems and frame[cluster].nunique() < 2:
        problems = [f"{cluster}: errors cannot be clustered in fewer than two clusters"]
    if frame.empty or problems:
        raise ContractError("the effect cannot be estimated (rows counted from 1)", problems or ["no row"])
    y, d, z = values[list(numbers)].to_numpy().T
    with_constant = np.column_stack([values[list(others)].to_numpy(), np.ones(len(values))])
    return y, d, z, with_constant, pd.factorize(frame[cluster])[0]


def _fit(y: "Array", x: "Array", z: "Array", groups: "Array") -> "tuple[float, float, Array]":
    """First coefficient of y on x by the instruments z, its clustered error, and its cluster scores over n."""
    fitted = z @ np.linalg.lstsq(z, x, rcond=None)[0]
    bread = np.linalg.inv(fitted.T @ fitted)
    beta = bread @ (fitted.T @ y)
    scores = np.zeros((groups.max() + 1, x.shape[1]))
    np.add.at(scores, groups, fitted * (y - x @ beta)[:, None])
    first = scores @ bread[0]  # what each cluster adds to the error of the first coefficient
    g, (n, k) = len(scores), x.shape
    return float(beta[0]), float(np.sqrt((first @ first) * g / (g - 1) * (n - 1) / (n - k))), first


def _anderson_rubin(
    first: "tuple[float, float, Array]", reduced: "tuple[float, float, Array]", limit: float, n: int, k: int
) -> tuple[float, float]:
    """The effects b for which the instrument has no effect on y - b d: roots of a square in b."""
    g = len(first[2])
    limit *= g / (g - 1) * (n - 1) / (n - k)
    square = first[0] ** 2 - limit * (first[2] @ first[2])
    half = first[0] * reduced[0] - limit * (first[2] @ reduced[2])
    rest = reduced[0] ** 2 - limit * (reduced[2] @ reduced[2])
    if square <= 0:
        return -np.inf, np.inf
    width = np.sqrt(np.maximum(half**2 - square * rest, 0.0))
    return float((half - width) / square), float((half + width) / square)
