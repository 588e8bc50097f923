"""Life-cycle stages: in which stage every customer is in every period, read from purchases."""

from typing import TYPE_CHECKING

import ibis.expr.types as ir
import numpy as np
import pandas as pd

from crmlab.contracts import Acquisition, broken_rules, check_acquisition, one_of, require_columns
from crmlab.database.cohorts import CALENDAR, Period
from crmlab.database.frames import to_frame
from crmlab.database.purchases import read_purchases
from crmlab.errors import ContractError

if TYPE_CHECKING:
    import datetime as dt


def purchase_stages(
    transactions: pd.DataFrame | ir.Table,
    *,
    period: Period,
    acquisition: Acquisition,
    lapsed: int = 3,
    frequent: int = 2,
    observation_end: "str | dt.date | None" = None,
) -> pd.DataFrame:
    """Put every customer into a life-cycle stage in every period from the first purchase on.

    ``new``: the first purchase falls in the period. ``active``: bought in it. ``frequent``: bought in it on at least
    `frequent` days. ``lapsing``: did not buy in it, but did in one of the `lapsed` - 1 periods before. ``lapsed``:
    silent for `lapsed` periods or more. ``won back``: bought in it after being lapsed. A purchase is a customer's
    day, as in `customer_summary`; a last period that the log does not cover to its end is left out.

    Of a left-censored log the first `lapsed` periods serve to look back only, and who is first seen after them is
    ``new or back``: the log cannot tell.

    Parameters
    ----------
    transactions : pandas.DataFrame or ibis table
        ``customer_id``, ``date``, ``amount``.
    period : {"month", "quarter", "year"}
        Length of a period.
    acquisition : {"observed", "left_censored"}
        Whether the log saw the first purchases.
    lapsed : int, default 3
        Silent periods after which a customer counts as lapsed, 1 or more. It is a convention, not an observation.
    frequent : int, default 2
        Purchases in a period that make it a frequent one, 2 or more.
    observation_end : str or date, optional
        Last day that counts. Default: the last date in the log.

    Returns
    -------
    pandas.DataFrame
        One row per customer and period: ``customer_id``, ``period``, ``stage`` (ordered categories), ``silent``
        (periods since the last purchase, 0 if there was one).

    Raises
    ------
    ContractError
        If the log breaks its contract, an option is out of range, or fewer than two periods are left.

    Examples
    --------
    >>> dates = pd.to_datetime(["2024-01-05", "2024-02-07", "2024-06-30"])
    >>> log = pd.DataFrame({"customer_id": [1, 1, 2], "date": dates, "amount": [5.0, 6.0, 7.0]})
    >>> purchase_stages(log, period="month", acquisition="observed")["stage"].tolist()
    ['new', 'active', 'lapsing', 'lapsing', 'lapsed', 'lapsed', 'new']
    """
    one_of("period", period, Period)
    observed = check_acquisition(acquisition) == "observed"
    if not (lapsed >= 1 and lapsed % 1 == 0 and frequent >= 2 and frequent % 1 == 0):
        raise ContractError(
            f"lapsed must be 1 or more and frequent 2 or more, whole numbers; got {lapsed} and {frequent}"
        )
    log = read_purchases(transactions, observation_end)
    unit = CALENDAR[period]
    keyed = log.days.mutate(period=log.days.day.truncate(unit))
    bought = to_frame(keyed.group_by("customer_id", "period").agg(days=keyed.count()))
    bought["period"] = pd.PeriodIndex(bought["period"], freq=unit)
    last = pd.Period(log.end, freq=unit)
    last -= int(last.end_time.date() > log.end)
    opening = bought["period"].min() + (0 if observed else lapsed)
    if last <= opening:
        raise ContractError(f"{log.start} to {log.end} leaves fewer than two whole {period}s for stages")
    panel = _silence(bought, last)
    panel["stage"] = _stage(panel, lapsed, frequent, "new" if observed else "new or back")
    return panel.loc[panel["period"] >= opening, ["customer_id", "period", "stage", "silent"]].reset_index(drop=True)


def _silence(bought: pd.DataFrame, last: pd.Period) -> pd.DataFrame:
    """A row for every customer and period from the first purchase to the last period, with what came before it."""
    code = bought["period"].array.asi8
    bought = bought.assign(code=code)[code <= last.ordinal].sort_values(["customer_id", "code"])
    first = bought.groupby("customer_id")["code"].min()
    count = last.ordinal - first.to_numpy() + 1
    codes = np.arange(count.sum()) - np.repeat(count.cumsum() - count - first.to_numpy(), count)
    panel = pd.DataFrame({"customer_id": np.repeat(first.index, count), "code": codes})
    panel = panel.merge(bought[["customer_id", "code", "days"]], how="left").fillna({"days": 0})
    person = panel["customer_id"]
    latest = panel["code"].where(panel["days"] > 0).groupby(person).ffill()
    panel["silent"] = (panel["code"] - latest).astype("int64")
    panel["before"] = panel["silent"].groupby(person).shift()  # missing in the first period
    named = pd.period_range(end=last, periods=last.ordinal - int(panel["code"].min()) + 1, freq=last.freq)
    panel["period"] = named[panel["code"] - panel["code"].min()]
    return panel


def _stage(panel: pd.DataFrame, lapsed: int, frequent: int, first: str) -> pd.Categorical:
    bought = panel["days"] > 0
    rules = {
        first: panel["before"].isna(),
        "won back": bought & (panel["before"] >= lapsed),
        "frequent": panel["days"] >= frequent,
        "active": bought,
        "lapsing": panel["silent"] < lapsed,
    }
    stage = np.select(list(rules.values()), list(rules), "lapsed")
    return pd.Categorical(stage, [first, "active", "frequent", "lapsing", "lapsed", "won back"], ordered=True)


def sequences(panel: pd.DataFrame, length: int) -> tuple[list[str], pd.DataFrame, int]:
    """What a panel of stages (see `stage_chain`) holds: its stages, and every run of so many consecutive periods.

    Returns
    -------
    list of str, pandas.DataFrame, int
        Stages in their order; one row per run with ``stage_0`` (code of the latest stage), ``stage_1`` and so on; and
        the gaps in the panel.

    Raises
    ------
    ContractError
        If a value is missing or twice, there is one stage only, or no run is long enough.
    """
    require_columns(panel, ["customer_id", "period", "stage"], "a panel of stages")
    period = panel["period"]
    if isinstance(period.dtype, pd.PeriodDtype):
        when = pd.Series(period.array.asi8, panel.index).where(period.notna())
    else:
        when = pd.to_numeric(period, errors="coerce")
    rules = {
        "customer_id: missing": panel["customer_id"].isna(),
        "stage: missing": panel["stage"].isna(),
        "period: neither a whole number nor a pandas period": ~(np.isfinite(when.astype(float)) & (when % 1 == 0)),
        "customer_id and period: twice": panel.duplicated(["customer_id", "period"]),
    }
    problems = broken_rules(rules)
    if problems or panel.empty:
        raise ContractError("this is no panel of stages (rows counted from 1)", problems or ["it has no rows"])
    named = panel["stage"].astype("category").cat.remove_unused_categories()
    stages = [str(name) for name in named.cat.categories]
    if len(stages) < 2:
        raise ContractError(f"every row of the panel is in stage {stages[0]!r}: a chain needs two stages or more")
    who = pd.factorize(panel["customer_id"])[0]
    table = pd.DataFrame({"customer_id": who, "when": when, "stage_0": named.cat.codes.astype("int64")})
    table = table.sort_values(["customer_id", "when"])
    by = table.groupby("customer_id")
    step = by["when"].diff()
    run = step == 1
    whole = run
    for lag in range(1, length):
        table[f"stage_{lag}"] = by["stage_0"].shift(lag)
        whole = whole & (run if lag == 1 else run.groupby(table["customer_id"]).shift(lag - 1, fill_value=False))
    if not whole.any():
        raise ContractError(f"no customer is seen in {length} consecutive periods, so there is no move to count")
    found = table[whole].drop(columns="when").astype({f"stage_{lag}": "int64" for lag in range(length)})
    return stages, found, int((step > 1).sum())
