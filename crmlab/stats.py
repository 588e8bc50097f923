"""Small shared statistics: concentration, intervals, and the axes and the look of the figures.

Nothing here knows a customer; every function takes plain numbers. Nothing changes global state at import:
a notebook that wants the house style of figures calls `theme` itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from crmlab.errors import ContractError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

PALETTE: tuple[str, ...] = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F", "#000000")
"""Eight colours that colour-blind readers can tell apart (Okabe & Ito 2008; grey in place of its yellow)."""

_CHINESE_FONTS = ("Noto Sans CJK SC", "Source Han Sans SC", "Microsoft YaHei", "PingFang SC", "SimHei")


@dataclass(frozen=True)
class Interval:
    """An estimate with the interval around it.

    Attributes
    ----------
    estimate, low, high : float
        In the unit of the quantity estimated.
    level : float
        Confidence level, e.g. 0.95.
    """

    estimate: float
    low: float
    high: float
    level: float

    def __str__(self) -> str:
        return f"{self.estimate:.3g} ({100 * self.level:g}% interval {self.low:.3g} to {self.high:.3g})"


def lorenz(values: npt.ArrayLike) -> pd.DataFrame:
    """Lorenz curve: what share of the total the lowest share of the customers holds.

    Parameters
    ----------
    values : array_like of float, shape (n,)
        One non-negative value per customer, in any unit; their sum must be positive.

    Returns
    -------
    pandas.DataFrame, shape (n + 1, 2)
        Columns ``share_customers`` and ``share_value``, both rising from 0 to 1, customers from the lowest value
        to the highest.

    Raises
    ------
    ContractError
        If there is no value, a value is negative or not finite, or all are zero.

    Examples
    --------
    >>> lorenz([1, 1, 2])
       share_customers  share_value
    0         0.000000         0.00
    1         0.333333         0.25
    2         0.666667         0.50
    3         1.000000         1.00
    """
    ordered = np.sort(_shares_of_something(values))
    held = np.concatenate([[0.0], np.cumsum(ordered / ordered.max())])
    return pd.DataFrame({"share_customers": np.linspace(0.0, 1.0, len(held)), "share_value": held / held[-1]})


def gini(values: npt.ArrayLike) -> float:
    """Gini coefficient: twice the area between the Lorenz curve and the line of equality.

    Parameters
    ----------
    values : array_like of float, shape (n,)
        One non-negative value per customer; their sum must be positive.

    Returns
    -------
    float
        0 when all values are equal, ``1 - 1/n`` when one customer holds everything.

    Examples
    --------
    >>> round(gini([0, 0, 0, 10]), 2)
    0.75
    """
    curve = lorenz(values)
    return float(max(0.0, 1.0 - 2.0 * np.trapezoid(curve["share_value"], curve["share_customers"])))


def top_share(values: npt.ArrayLike, top: float = 0.2) -> float:
    """Share of the total that the best customers hold: the number behind "80/20".

    Parameters
    ----------
    values : array_like of float, shape (n,)
        One non-negative value per customer; their sum must be positive.
    top : float, default 0.2
        Share of the customers that counts as the top, between 0 and 1. When it cuts through a customer, or through a
        group of equal values, that part is counted in proportion.

    Returns
    -------
    float
        Between `top` and 1.

    Examples
    --------
    >>> round(top_share([1, 1, 1, 1, 6], top=0.2), 2)
    0.6
    """
    if not 0.0 <= top <= 1.0:
        raise ContractError(f"top must lie between 0 and 1, got {top}")
    curve = lorenz(values)
    return float(1.0 - np.interp(1.0 - top, curve["share_customers"], curve["share_value"]))


def bootstrap_interval(
    values: npt.ArrayLike,
    statistic: Callable[[np.ndarray], float],
    *,
    seed: int,
    n: int = 1_000,
    level: float = 0.95,
) -> Interval:
    """Percentile bootstrap interval of any statistic of independent observations.

    Parameters
    ----------
    values : array_like, shape (m,) or (m, k)
        One row per independent observation (usually per customer, never per order).
    statistic : callable
        Takes an array like `values` and returns a number.
    seed : int
        Seed of the resampling.
    n : int, default 1000
        Number of resamples.
    level : float, default 0.95
        Confidence level.

    Returns
    -------
    Interval
        With ``statistic(values)`` as the estimate.

    References
    ----------
    Efron, B. & Tibshirani, R. (1993). *An Introduction to the Bootstrap*, ch. 13. Chapman & Hall.

    Examples
    --------
    >>> interval = bootstrap_interval([1.0, 2.0, 3.0, 4.0], np.mean, seed=1)
    >>> interval.estimate, interval.low < 2.5 < interval.high
    (2.5, True)
    """
    observed = np.asarray(values)
    if len(observed) < 2:
        raise ContractError(f"the bootstrap needs at least 2 observations, got {len(observed)}")
    check_level(level)
    rng = np.random.default_rng(seed)
    draws = [float(statistic(observed[rng.integers(0, len(observed), len(observed))])) for _ in range(n)]
    low, high = np.quantile(draws, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return Interval(float(statistic(observed)), float(low), float(high), level)


def proportion_interval(successes: int, n: int, level: float = 0.95) -> Interval:
    """Wilson score interval of a proportion; it stays inside 0 to 1 and works for 0 successes.

    Parameters
    ----------
    successes, n : int
        Number of successes among `n` independent trials.
    level : float, default 0.95
        Confidence level.

    References
    ----------
    Wilson, E. B. (1927). Probable inference, the law of succession, and statistical inference. *Journal of the
    American Statistical Association* 22, 209-212.

    Examples
    --------
    >>> print(proportion_interval(10, 100))
    0.1 (95% interval 0.0552 to 0.174)
    """
    if not 0 <= successes <= n or n == 0:
        raise ContractError(f"need 0 <= successes <= n and n > 0, got successes={successes}, n={n}")
    check_level(level)
    from scipy.stats import binomtest

    interval = binomtest(successes, n).proportion_ci(level, method="wilson")
    return Interval(successes / n, float(interval.low), float(interval.high), level)


def check_level(level: float) -> float:
    """Return a confidence level, if it lies strictly between 0 and 1."""
    if not 0.0 < level < 1.0:
        raise ContractError(f"level must lie strictly between 0 and 1, got {level}")
    return level


def axes_or_new(ax: "Axes | None", **figure: Any) -> "Axes":
    """The Axes as given, or those of a new figure, made with the arguments `figure` (``figsize``, say)."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(**figure)[1]


def percent_axis(*axes: "Axis") -> None:
    """Write the numbers of each axis (``ax.xaxis``, ``ax.yaxis``) as whole per cents of 1."""
    for axis in axes:
        axis.set_major_formatter("{x:.0%}")


def theme() -> None:
    """Give matplotlib the house style: white grid, `PALETTE`, and a font with Chinese characters where there is one.

    Call it once at the top of a notebook. It changes matplotlib's settings for this process, which importing crmlab
    never does.
    """
    import matplotlib as mpl
    import seaborn as sns
    from matplotlib import font_manager

    sns.set_theme(context="notebook", style="whitegrid", palette=list(PALETTE))
    installed = {font.name for font in font_manager.fontManager.ttflist}
    mpl.rcParams.update(
        {
            "font.sans-serif": ["DejaVu Sans", *(name for name in _CHINESE_FONTS if name in installed)],
            "figure.figsize": (7.0, 4.0),
            "figure.dpi": 100,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlelocation": "left",
            "grid.linewidth": 0.5,
        }
    )


def _shares_of_something(values: npt.ArrayLike) -> np.ndarray:
    array = np.asarray(values, dtype=float)
    if array.ndim != 1 or len(array) == 0:
        raise ContractError(f"need one value per customer, got an array of shape {array.shape}")
    wrong = np.flatnonzero(~np.isfinite(array) | (array < 0))
    if len(wrong):
        first = ", ".join(f"{array[i]:g} at position {i}" for i in wrong[:3])
        raise ContractError(f"shares need finite values of 0 or more; {len(wrong)} are not (first: {first})")
    if not array.any():
        raise ContractError("all values are zero, so nobody has a share of anything")
    return array
