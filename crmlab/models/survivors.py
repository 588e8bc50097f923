"""What models of staying are fitted to: how often customers have renewed, when they were lost, how likely that is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.special import polygamma, psi

from crmlab.contracts import broken_rules, require_columns
from crmlab.errors import ContractError
from crmlab.models.base import Rows
from crmlab.models.survival import log_staying

if TYPE_CHECKING:
    from crmlab.models.base import Floats


@dataclass(frozen=True, eq=False)
class Stays:
    """Customers counted by what is known of their stay.

    Attributes
    ----------
    renewals : array, shape (n,)
        Renewals that were certainly made.
    lost_by : array, shape (n,)
        The renewal at which, or before which, they were lost; infinite where they are still there.
    weight : array, shape (n,)
        Customers.
    """

    renewals: "Floats"
    lost_by: "Floats"
    weight: "Floats"

    def table(self) -> pd.DataFrame:
        """The same as a frame."""
        found = {"renewals": self.renewals.astype("int64"), "lost_by": self.lost_by, "customers": self.weight}
        return pd.DataFrame(found)

    def facts(self) -> list[str]:
        """What a reader should know of the data when a fit fails."""
        lost = np.isfinite(self.lost_by)
        first = self.weight[self.lost_by == 1].sum()
        most = np.where(lost, np.where(lost, self.lost_by, 0.0), self.renewals).max()
        return [
            f"{self.weight.sum():,.0f} customers, of whom {self.weight[lost].sum():,.0f} were lost, {first:,.0f} of "
            "them at the first renewal",
            f"at most {most:.0f} renewals came due",
        ]


def read_survivors(survivors: Any) -> Stays:
    """Take customers still there after 0, 1, 2, ... renewals, for one cohort or several.

    Raises
    ------
    ContractError
        If these are no counts of survivors; all problems are collected, each naming cohort and renewal.
    """
    table = survivors if isinstance(survivors, pd.DataFrame) else pd.DataFrame({"survivors": np.asarray(survivors)})
    try:
        values = table.to_numpy(dtype=float)
    except (TypeError, ValueError):
        raise ContractError("survivors must be numbers of customers after 0, 1, 2, ... renewals") from None
    problems = [problem for name, column in zip(table, values.T, strict=True) for problem in _problems(name, column)]
    if problems or values.size == 0:
        raise ContractError("these are no survivors", problems or ["there is no cohort"])
    stays = [_cohort(column) for column in values.T]
    renewals, lost_by, weight = (np.concatenate(one) for one in zip(*stays, strict=True))
    return _counted(renewals, lost_by, weight)


def _problems(name: Any, column: "Floats") -> list[str]:
    """What is wrong with a cohort."""
    seen = np.flatnonzero(~np.isnan(column))
    if not len(seen) or seen[0] > 0:
        return [f"cohort {name!r}: the first number, of those who came, is missing"]
    counts = column[seen]
    rules = {
        "is infinite": np.isinf(counts),
        "is negative": counts < 0,
        "is no whole number (give customers, not shares)": counts != np.round(counts),
        "is above the number before": np.append(False, np.diff(counts) > 0),
    }
    found = [
        f"cohort {name!r}: {rule} after {', '.join(map(str, seen[broken][:3]))} renewals"
        for rule, broken in rules.items()
        if broken.any()
    ]
    return found or ([f"cohort {name!r}: nobody came"] if counts[0] == 0 else [])


def _cohort(column: "Floats") -> "tuple[Floats, Floats, Floats]":
    seen = np.flatnonzero(~np.isnan(column)).astype(float)
    counts = column[~np.isnan(column)]
    return seen, np.append(seen[1:], np.inf), np.append(-np.diff(counts), counts[-1])


def from_tenures(tenures: pd.DataFrame) -> Stays:
    """Take customers one by one: ``tenure`` (renewals that came due), ``churned`` and perhaps ``weight``."""
    require_columns(tenures, ["tenure", "churned"], "a table of tenures")
    tenure = pd.to_numeric(tenures["tenure"], errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    churned = pd.to_numeric(tenures["churned"], errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    weight = np.ones(len(tenure))
    if "weight" in tenures:
        weight = pd.to_numeric(tenures["weight"], errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    rules = {
        "tenure: not a whole number, 0 or more": ~(np.isfinite(tenure) & (tenure >= 0) & (tenure % 1 == 0)),
        "churned: neither true nor false": ~np.isin(churned, (0.0, 1.0)),
        "churned without a renewal due (tenure 0)": (churned == 1) & (tenure == 0),
        "weight: not above 0": ~(np.isfinite(weight) & (weight > 0)),
    }
    problems = broken_rules(rules)
    if problems or not len(tenure):
        raise ContractError("this frame is no table of tenures (rows counted from 1)", problems or ["it has no rows"])
    left = churned == 1
    return _counted(tenure - left, np.where(left, tenure, np.inf), weight)


def _counted(renewals: "Floats", lost_by: "Floats", weight: "Floats") -> Stays:
    frame = pd.DataFrame({"renewals": renewals, "lost_by": lost_by, "weight": weight})
    found = frame.groupby(["renewals", "lost_by"], as_index=False)["weight"].sum()
    found = found[found["weight"] > 0]
    return Stays(*(found[name].to_numpy() for name in found))


def observed_survival(stays: Stays) -> pd.Series:
    """Kaplan-Meier estimate of survival by renewal, over all cohorts; it ends where a loss has no exact date."""
    last = int(np.where(np.isfinite(stays.lost_by), stays.lost_by, stays.renewals).max())
    unsure = np.isfinite(stays.lost_by) & (stays.lost_by > stays.renewals + 1)
    if unsure.any():
        last = int(stays.renewals[unsure].min())
    times = np.arange(1.0, last + 1)
    lost = np.array([stays.weight[stays.lost_by == t].sum() for t in times])
    asked = np.array([stays.weight[(stays.renewals >= t) | (stays.lost_by == t)].sum() for t in times])
    survival = np.append(1.0, np.cumprod(1 - lost / asked))
    return pd.Series(survival, index=pd.RangeIndex(last + 1), name="observed")


def stay_terms(data: Sequence["Floats"], params: Sequence["Floats"]) -> Rows:
    """Log-probability of at least `renewals` renewals but fewer than `lost_by`: log(S(renewals) - S(lost_by))."""
    renewals, lost_by = data
    value, gradient, hessian = _log_survival(renewals, params)
    lost = np.isfinite(lost_by)
    if not lost.any():
        return Rows(value, gradient, hessian)
    later = _log_survival(lost_by[lost], params)
    power = params[2] if len(params) == 3 else 1.0
    u = renewals[lost] ** power
    drop = log_staying(params[0], params[1] + u, lost_by[lost] ** power - u)
    drop_1, drop_2 = later.gradient - gradient[:, lost], later.hessian - hessian[:, :, lost]
    slope = -1 / np.expm1(-drop)
    curve = slope / -np.expm1(drop)
    value[lost] += np.log(-np.expm1(drop))
    hessian[:, :, lost] += curve * drop_1 * drop_1[:, None] + slope * drop_2
    gradient[:, lost] += slope * drop_1
    return Rows(value, gradient, hessian)


def _log_survival(t: "Floats", params: Sequence["Floats"]) -> Rows:
    """log S(t) with its derivatives by the log-parameters."""
    alpha, beta, power = params[0], params[1], params[2] if len(params) == 3 else np.asarray(1.0)
    u, both = t**power, alpha + beta
    end, whole = psi(beta + u), psi(both + u)
    end_2, whole_2 = polygamma(1, beta + u), polygamma(1, both + u)
    a_1, both_2 = psi(both) - whole, polygamma(1, both) - whole_2
    b_1, u_1 = a_1 + end - psi(beta), end - whole
    rate = power * np.log(np.where(t > 0, t, 1.0))
    growth, u_2 = rate * u, end_2 - whole_2
    first = [alpha * a_1, beta * b_1, u_1 * growth]
    k, n = len(params), len(t)
    gradient, hessian = np.array(first[:k]), np.zeros((k, k, n))
    hessian[0, 0] = first[0] + alpha**2 * both_2
    hessian[0, 1] = alpha * beta * both_2
    hessian[1, 1] = first[1] + beta**2 * (end_2 - polygamma(1, beta) + both_2)
    if k == 3:
        hessian[0, 2] = -alpha * whole_2 * growth
        hessian[1, 2] = beta * u_2 * growth
        hessian[2, 2] = u_1 * growth * (1 + rate) + u_2 * growth**2
    return Rows(log_staying(alpha, beta, u), gradient, hessian)
