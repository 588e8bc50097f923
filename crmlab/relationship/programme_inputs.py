"""What a panel of joiners must look like; every function that estimates an effect of joining checks it here."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crmlab.contracts import broken_rules
from crmlab.errors import ContractError

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Study:
    """A checked panel.

    Attributes
    ----------
    outcome : ndarray, shape (customers, periods)
        Outcome of each customer in each period.
    joined : ndarray, shape (customers,)
        Period of joining counted from the first column; infinite for never.
    cohorts : tuple of int
        Periods of joining that have a base period.
    covariates : ndarray, shape (customers, k), or None
        Covariates, standardised.
    clusters : ndarray of int, shape (customers,)
        Number of each customer's group.
    first : int
        Name of the first period.
    left_out : tuple of str
        What cannot be used, with the reason.
    """

    outcome: "Floats"
    joined: "Floats"
    cohorts: tuple[int, ...]
    covariates: "Floats | None"
    clusters: "npt.NDArray[np.int64]"
    first: int
    left_out: tuple[str, ...]


def read_study(
    outcome: pd.DataFrame,
    joined: pd.Series,
    covariates: pd.DataFrame | None = None,
    anticipation: int = 0,
    clusters: pd.Series | None = None,
) -> Study:
    """Check a panel with its joiners; customers who had joined by the first period are taken out and told.

    Raises
    ------
    ContractError
        With every problem found: types, lengths, indexes, missing and infinite values, constant outcomes, no joiner.
    """
    first = _check_outcome(outcome)
    periods = outcome.shape[1]
    for name, one in (("joined", joined), ("covariates", covariates), ("clusters", clusters)):
        _check_index(name, one, outcome)
    when = pd.to_numeric(joined, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    problems = broken_rules(
        {
            "joined: not a number": joined.notna() & np.isnan(when),
            "joined: not a whole period": np.isfinite(when) & (when % 1 != 0),
        }
    )
    if not (isinstance(anticipation, int) and 0 <= anticipation <= periods - 2):
        problems.append(f"anticipation must be a whole number from 0 to {periods - 2}; got {anticipation!r}")
    if problems:
        raise ContractError("these joiners cannot be studied (rows counted from 1)", problems)
    when = np.where(np.isfinite(when) & (when < first + periods), when - first, np.inf)
    known = when > anticipation  # a base period lies in the panel
    cohorts = tuple(int(g) for g in np.unique(when[known & np.isfinite(when)]))
    if not cohorts:
        raise ContractError("nobody joins after a base period within the panel: begin it earlier, or check `joined`")
    lost = int((~known).sum())
    told = (f"{lost:,} customers who joined before there was a base period",) if lost else ()
    x = None if covariates is None else _standardised(covariates)[known]
    groups = codes(clusters, outcome)[known]
    return Study(outcome.to_numpy(float)[known], when[known], cohorts, x, _renumbered(groups), first, told)


def _check_outcome(outcome: pd.DataFrame) -> int:
    if not isinstance(outcome, pd.DataFrame):
        raise ContractError(f"outcome must be a DataFrame of customers by periods, not {type(outcome).__name__}")
    if outcome.shape[0] < 4 or outcome.shape[1] < 2:
        raise ContractError(f"outcome needs 4 customers and 2 periods; it has shape {outcome.shape}")
    names = list(outcome.columns)
    if not all(isinstance(name, int | np.integer) for name in names) or np.any(np.diff(names) != 1):
        raise ContractError(f"the columns of outcome must be consecutive whole numbers, the periods; got {names[:6]}")
    numbers = outcome.apply(pd.to_numeric, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    problems = broken_rules(
        {
            "a value that is no finite number": ~np.isfinite(numbers).all(axis=1),
            "the same customer twice": outcome.index.duplicated(),
        }
    )
    if not problems and np.ptp(numbers) == 0:
        problems = ["all outcomes are the same"]
    if problems:
        raise ContractError("this outcome cannot be studied (rows counted from 1)", problems)
    return int(names[0])


def _check_index(name: str, one: "pd.Series | pd.DataFrame | None", outcome: pd.DataFrame) -> None:
    if one is None:
        return
    if not isinstance(one, pd.Series | pd.DataFrame):
        raise ContractError(f"{name} must be pandas with the index of outcome, not {type(one).__name__}")
    if len(one) != len(outcome):
        raise ContractError(f"{name} has {len(one):,} rows, outcome {len(outcome):,}: one for each customer is needed")
    if not one.index.equals(outcome.index):
        raise ContractError(f"{name} and outcome have different indexes; reindex {name} like outcome")


def _standardised(covariates: pd.DataFrame) -> "Floats":
    if not isinstance(covariates, pd.DataFrame) or not covariates.shape[1]:
        raise ContractError("covariates must be a DataFrame with at least one column")
    numbers = covariates.apply(pd.to_numeric, errors="coerce").astype(float)
    problems = broken_rules({f"{name}: not a finite number": ~np.isfinite(numbers[name]) for name in numbers})
    problems += [f"{name}: all customers have the same value" for name in numbers if numbers[name].nunique() == 1]
    if problems:
        raise ContractError("these covariates cannot be used: encode words, fill or drop what is missing", problems)
    x = numbers.to_numpy()
    return (x - x.mean(axis=0)) / x.std(axis=0)


def codes(clusters: pd.Series | None, outcome: pd.DataFrame) -> "npt.NDArray[np.int64]":
    """Number of each customer's group: the customer itself where no groups are given."""
    if clusters is None:
        return np.arange(len(outcome))
    if clusters.isna().any():
        raise ContractError("clusters is missing for some customers: give each a group, if only their own")
    if clusters.nunique() < 10:
        raise ContractError(
            f"clustered errors need 10 groups; got {clusters.nunique()}. With fewer, compare with all the orders in "
            "which they could have been treated (a permutation test)"
        )
    return _renumbered(clusters.to_numpy())


def _renumbered(groups: "npt.NDArray[np.int64]") -> "npt.NDArray[np.int64]":
    return np.unique(groups, return_inverse=True)[1]


def normal_quantile(level: float) -> float:
    """How many standard errors lie on each side of an estimate, by the normal distribution."""
    from scipy.stats import norm

    return float(norm.ppf((1 + level) / 2))
