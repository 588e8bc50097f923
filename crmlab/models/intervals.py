"""Intervals of what a model predicts: by the delta method, or from draws of the parameters."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import ndtri

from crmlab.stats import check_level

if TYPE_CHECKING:
    from crmlab.models.base import Floats

_STEP = 1e-4  # of a log-parameter, for derivatives by central differences


def with_interval(
    estimate: "Callable[[Floats], Floats]",
    coefficients: "Floats",
    covariance: "Floats",
    level: float,
    draws: "Floats | None" = None,
    *,
    within: tuple[float, float] = (0.0, np.inf),
) -> dict[str, "Floats"]:
    """Estimate, low and high.

    Parameters
    ----------
    estimate : callable
        Coefficients to predictions, shape (n,).
    coefficients, covariance : array
        Of the fit.
    level : float
        Confidence level.
    draws : array, shape (m, c), optional
        Coefficients drawn by a bootstrap or from a posterior: the interval lies between quantiles of their predictions.
        Without them it is that of the delta method.
    within : tuple of float
        Range of what is predicted, at which intervals end.
    """
    found, tail = estimate(coefficients), (1 - check_level(level)) / 2
    if draws is not None:
        low, high = np.quantile([estimate(one) for one in draws], [tail, 1 - tail], axis=0)
    else:
        reach = -ndtri(tail) * _standard_errors(estimate, coefficients, covariance)
        low, high = found - reach, found + reach
    return {"estimate": found, "low": np.clip(low, *within), "high": np.clip(high, *within)}


def _standard_errors(estimate: "Callable[[Floats], Floats]", coefficients: "Floats", covariance: "Floats") -> "Floats":
    steps = _STEP * np.eye(len(coefficients))
    slopes = np.array([(estimate(coefficients + one) - estimate(coefficients - one)) / (2 * _STEP) for one in steps])
    return np.sqrt(np.einsum("j...,jk,k...->...", slopes, covariance, slopes))


def as_series(values: "Floats | dict[str, Floats]", index: pd.Index, name: str) -> pd.Series | pd.DataFrame:
    """Predictions with the customers' index: a series, or a frame where there is an interval."""
    if isinstance(values, dict):
        return pd.DataFrame(values, index=index)
    return pd.Series(values, index=index, name=name)
