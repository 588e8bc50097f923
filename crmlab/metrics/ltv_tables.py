"""Lifetime value from rates: the table, period by period, its closed forms, and the time until money comes back.

References
----------
Fader, P. S. & Hardie, B. G. S. (2012). Reconciling and clarifying CLV formulas. http://brucehardie.com/notes/024/.
Gupta, S. & Lehmann, D. R. (2003). Customers as assets. *Journal of Interactive Marketing* 17(1), 9-24.
"""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from crmlab.contracts import one_of
from crmlab.errors import ContractError

Timing = Literal["advance", "renewal", "arrears"]
Period = Literal["year", "quarter", "month"]

_PER_YEAR: dict[str, int] = {"year": 1, "quarter": 4, "month": 12}


def margin_multiple(
    retention: npt.ArrayLike, annual_discount_rate: float, *, timing: Timing = "renewal", period: Period = "year"
) -> Any:
    """How many margins of one period a customer is worth, with constant margin and retention, for ever.

    With r the retention and d the discount rate of a period, the three formulas that are all called lifetime value:

    - ``"advance"``: the first margin is counted and comes now, the others at renewals: (1 + d) / (1 + d - r);
    - ``"renewal"``: the first margin has been had, only renewals count, the next in one period: r / (1 + d - r);
    - ``"arrears"``: every margin, the first included, comes at the end of its period: 1 / (1 + d - r).

    Parameters
    ----------
    retention : float or array
        Share of the customers that stays from one `period` to the next, 0 to 1.
    annual_discount_rate : float
        Discount rate of a year, whatever the `period`; 0.1 stands for ten per cent.
    timing : {"renewal", "advance", "arrears"}, default "renewal"
        What is counted, and when it is received.
    period : {"year", "quarter", "month"}, default "year"
        The period of `retention`, and of the margin that is to be multiplied.

    Returns
    -------
    float or ndarray
        Of the shape of `retention`. Times the margin of a period it is the lifetime value, before acquisition cost.

    Raises
    ------
    ContractError
        If a rate is out of its range, or nobody ever leaves and nothing is discounted.

    References
    ----------
    Fader & Hardie (2012), cases 1 to 3; Gupta & Lehmann (2003) for "renewal".

    Examples
    --------
    >>> [round(float(100 * margin_multiple(0.8, 0.1, timing=t)), 2) for t in ("advance", "renewal", "arrears")]
    [366.67, 266.67, 333.33]
    """
    one_of("timing", timing, Timing)
    discount = _rate_of(period, annual_discount_rate)
    rate = _within("retention", retention, 0, 1)
    left = 1 + discount - rate
    if (left <= 0).any():
        raise ContractError("with retention 1 and no discounting the value has no end; discount, or retain fewer")
    first: dict[str, Any] = {"advance": 1 + discount, "renewal": rate, "arrears": 1.0}
    return first[timing] / left


def ltv_table(
    *,
    retention: npt.ArrayLike,
    spend: npt.ArrayLike,
    cost_share: npt.ArrayLike,
    annual_discount_rate: float,
    periods: int,
    customers: float = 1000,
    referral: npt.ArrayLike = 0.0,
    acquisition_cost: float = 0.0,
    timing: Timing = "advance",
    period: Period = "year",
) -> pd.DataFrame:
    """The lifetime-value table of a group of customers acquired together.

    Parameters
    ----------
    retention : float or sequence of `periods` - 1
        Share of the customers of a period that stays for the next, 0 to 1.
    spend : float or sequence of `periods`
        Spend of a customer in a period, in money.
    cost_share : float or sequence of `periods`
        Share of the spend that goods and service cost, at least 0.
    annual_discount_rate : float
        Discount rate of a year, whatever the `period`.
    periods : int
        Rows of the table.
    customers : float, default 1000
        How many are acquired.
    referral : float or sequence of `periods` - 1, default 0
        Customers that one customer brings in for the next period. They behave like those who brought them, cost no
        acquisition, and are credited to them: do not count them as acquired elsewhere.
    acquisition_cost : float, default 0
        Cost of acquiring one of the first customers, spent now.
    timing : {"advance", "renewal", "arrears"}, default "advance"
        When profits are received, as in `margin_multiple`; "renewal" leaves out the first period's, which has been had.
    period : {"year", "quarter", "month"}, default "year"
        Length of a period; all shares and amounts are those of one period.

    Returns
    -------
    DataFrame
        One row a period, indexed from 1: customers, revenue, cost, profit (money), discount_factor, present_value,
        cumulative (present value so far, less acquisition), lifetime_value (the same for each customer acquired).

    Raises
    ------
    ContractError
        If a value is out of its range or a sequence has the wrong length.

    Examples
    --------
    >>> table = ltv_table(retention=0.8, spend=100, cost_share=0.4, annual_discount_rate=0.1, periods=3)
    >>> table["lifetime_value"].round(2).tolist()
    [60.0, 103.64, 135.37]
    """
    one_of("timing", timing, Timing)
    if periods < 1 or not customers > 0:
        raise ContractError(f"a table needs at least 1 period and some customers, not {periods} and {customers}")
    stay = _series("retention", retention, periods - 1, upper=1) + _series("referral", referral, periods - 1)
    n = customers * np.cumprod(np.concatenate([[1.0], stay]))
    revenue = n * _series("spend", spend, periods)
    cost = revenue * _series("cost_share", cost_share, periods)
    when = np.arange(periods) + (timing == "arrears")
    factor = (1 + _rate_of(period, annual_discount_rate)) ** -when.astype(float)
    factor[:1] *= timing != "renewal"
    value = (revenue - cost) * factor
    cumulative = value.cumsum() - customers * _within("acquisition_cost", acquisition_cost, 0)
    columns = {
        "customers": n,
        "revenue": revenue,
        "cost": cost,
        "profit": revenue - cost,
        "discount_factor": factor,
        "present_value": value,
        "cumulative": cumulative,
        "lifetime_value": cumulative / customers,
    }
    return pd.DataFrame(columns, index=pd.RangeIndex(1, periods + 1, name=period))


def payback_period(flows: npt.ArrayLike, *, annual_discount_rate: float, period: Period = "year") -> Any:
    """How long until money spent has come back: the first period by which discounted flows add up to nothing owed.

    Parameters
    ----------
    flows : array, shape (..., n)
        Money received less money spent now, in one period, in two, ...; several rows for several programmes or draws.
    annual_discount_rate : float
        Discount rate of a year, whatever the `period`.
    period : {"year", "quarter", "month"}, default "year"
        Time from one flow to the next.

    Returns
    -------
    float or ndarray, shape (...)
        Number of periods from now; inf if the money does not come back within the n flows.

    Raises
    ------
    ContractError
        If a flow is not a finite number or the rate is negative.

    Examples
    --------
    >>> float(payback_period([-100, 60, 60], annual_discount_rate=0.1))
    2.0
    >>> float(payback_period([-100, 55, 50], annual_discount_rate=0.1))
    inf
    """
    money = _within("flows", flows, -np.inf)
    discounted = money * (1 + _rate_of(period, annual_discount_rate)) ** -np.arange(money.shape[-1], dtype=float)
    back = discounted.cumsum(axis=-1) >= 0
    return np.where(back.any(axis=-1), back.argmax(axis=-1).astype(float), np.inf)[()]


def _rate_of(period: Period, annual_discount_rate: float) -> float:
    """The discount rate of one period that compounds to that of a year."""
    one_of("period", period, Period)
    return float((1 + _within("annual_discount_rate", annual_discount_rate, 0)) ** (1 / _PER_YEAR[period]) - 1)


def _series(name: str, values: npt.ArrayLike, length: int, upper: float = np.inf) -> np.ndarray:
    """One value a period; a single value holds for all."""
    array = _within(name, values, 0, upper)
    if array.ndim == 0:
        return np.full(length, float(array))
    if array.shape != (length,):
        raise ContractError(f"{name} must be one number or {length} of them, not {array.size}")
    return array


def _within(name: str, values: npt.ArrayLike, low: float, high: float = np.inf) -> np.ndarray:
    """Numbers, checked to be finite and in their range."""
    array = np.asarray(values, dtype=float)
    if not (np.isfinite(array) & (array >= low) & (array <= high)).all():
        raise ContractError(f"{name} must be finite and within {low:g} and {high:g}, not {values!r}")
    return array
