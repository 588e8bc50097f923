"""What a problem, a complaint and its recovery do to buying: cases, what customers did next, and fair comparisons."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from crmlab.contracts import as_day, broken_rules, require_columns
from crmlab.errors import ContractError
from crmlab.stats import check_level

if TYPE_CHECKING:
    Array = npt.NDArray[Any]

_SPAN = 2**38  # seconds, 8,700 years: more than two dates lie apart


@dataclass(frozen=True, eq=False)
class Aftermath:
    """Cases with what the customers did before and after.

    Attributes
    ----------
    table : pandas.DataFrame
        The columns of the cases, and those of `definitions`.
    days : int
        Length of the windows before and after.
    left_out : mapping of str to int
        What is not in the table, with how many.
    """

    table: pd.DataFrame
    days: int
    left_out: Mapping[str, int]

    @property
    def definitions(self) -> dict[str, str]:
        """What each new column of `table` means."""
        return {
            "orders_before": f"orders in the {self.days} days before the case",
            "orders_after": f"orders later than the case and at most {self.days} days after it",
            "amount_after": "money of these later orders",
            "again": "1 if there was such a later order, else 0",
        }

    def __repr__(self) -> str:
        lines = [f"  {name:<14} {meaning}" for name, meaning in self.definitions.items()]
        lines += [f"  left out: {n:,} {what}" for what, n in self.left_out.items() if n]
        return "\n".join([f"{len(self.table):,} cases of {self.table['customer_id'].nunique():,} customers", *lines])


def orders_after(cases: pd.DataFrame, orders: pd.DataFrame, *, days: int, observation_end: Any = None) -> Aftermath:
    """Count what customers ordered before and after a case: a failed delivery, a complaint, an ordinary order.

    A case whose window is not over at the end of the data is left out, whatever was ordered in it: keeping those who
    have ordered already would make every group look loyal.

    Parameters
    ----------
    cases : pandas.DataFrame
        One row per case: ``customer_id``, ``date`` and any other columns, which are kept.
    orders : pandas.DataFrame
        One row per order: ``customer_id``, ``date``, ``amount`` (money).
    days : int
        Length of the windows, 1 or more.
    observation_end : date-like, optional
        Last day that was observed whole. Default: the day before the last order, which may not be over.

    Returns
    -------
    Aftermath

    Raises
    ------
    ContractError
        If columns are missing, dates or amounts are none, `days` is below 1, or no window is over.

    Examples
    --------
    >>> stamps = pd.to_datetime(["2024-01-01", "2024-01-20", "2024-03-01"])
    >>> orders = pd.DataFrame({"customer_id": ["ann", "ann", "bob"], "date": stamps, "amount": [5.0, 8.0, 9.0]})
    >>> cases = pd.DataFrame({"customer_id": ["ann", "bob"], "date": stamps[[0, 0]]})
    >>> orders_after(cases, orders, days=30).table[["customer_id", "orders_after", "amount_after", "again"]]
      customer_id  orders_after  amount_after  again
    0         ann             1           8.0      1
    1         bob             0           0.0      0
    """
    if not isinstance(days, int | np.integer) or days < 1:
        raise ContractError(f"days must be a whole number of 1 or more, got {days!r}")
    _check_table(cases, "cases", [])
    _check_table(orders, "orders", ["amount"])
    last = pd.Timestamp(as_day(observation_end, "observation_end")) if observation_end is not None else None
    end = orders["date"].max().normalize() - pd.Timedelta(days=1) if last is None else last
    over = cases["date"] + pd.Timedelta(days=days) < end + pd.Timedelta(days=1)
    if not over.any():
        raise ContractError(f"no window of {days} days is over on {end:%Y-%m-%d}: take fewer days or earlier cases")
    kept = cases[over].reset_index(drop=True)
    code = pd.Series(np.arange(orders["customer_id"].nunique()), index=orders["customer_id"].unique())
    log = _keys(orders["customer_id"].map(code), orders["date"])
    order = np.argsort(log, kind="stable")
    log, paid = log[order], np.concatenate([[0.0], np.cumsum(orders["amount"].to_numpy(float)[order])])
    who = kept["customer_id"].map(code)
    if who.isna().all():
        raise ContractError("no customer of the cases has an order: are the ids of one kind, numbers or text, in both?")
    case = _keys(who.fillna(-1), kept["date"])
    window = days * 86_400
    first = np.searchsorted(log, case - window)
    here, after = np.searchsorted(log, case), np.searchsorted(log, case, side="right")
    stop = np.searchsorted(log, case + window, side="right")
    table = kept.assign(
        orders_before=here - first,
        orders_after=stop - after,
        amount_after=(paid[stop] - paid[after]).round(6),
        again=(stop > after).astype("int64"),
    )
    return Aftermath(table, days, {f"cases whose {days} days were not over": int((~over).sum())})


@dataclass(frozen=True, eq=False)
class GroupComparison:
    """Means of groups, plain and adjusted, and their differences to a reference group.

    Attributes
    ----------
    table : pandas.DataFrame, one row per group, the reference first
        ``cases``, ``mean`` with ``low`` and ``high``; ``adjusted`` with its limits: the mean if the group had the
        covariates of all cases together; ``difference`` of the adjusted mean to the reference with its limits and
        ``p_value``. In the unit of the outcome.
    outcome, reference : str
        What was compared, and with which group.
    adjusted_for : tuple of str
        Covariates.
    level : float
        Confidence level of all intervals; errors are clustered by customer.
    """

    table: pd.DataFrame
    outcome: str
    reference: str
    adjusted_for: tuple[str, ...]
    level: float

    def __repr__(self) -> str:
        head = (
            f"{self.outcome} by group; adjusted for {', '.join(self.adjusted_for) or 'nothing'}; differences to "
            f"{self.reference!r}; {self.level:.0%} intervals, clustered by customer"
        )
        return f"{head}\n{self.table.round(4).to_string()}"


def compare_groups(
    table: pd.DataFrame,
    outcome: str,
    *,
    group: str,
    reference: str,
    adjust: Sequence[str] = (),
    level: float = 0.95,
) -> GroupComparison:
    r"""Compare the mean outcome of groups, plain and adjusted for what was known before.

    Least squares :math:`y_i = \alpha + \sum_g \delta_g 1[g_i = g] + x_i'\beta + e_i` with errors clustered by customer.
    The adjusted mean of a group is its prediction at the mean of :math:`x`. For an outcome of 0 and 1 these are shares,
    and :math:`\delta_g` is a difference of shares. Groups are comparable only as far as :math:`x` makes them so, or as
    far as they were drawn at random.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per case: ``customer_id``, the outcome, the group and the covariates, such as ``Aftermath.table``.
    outcome : str
        Column of numbers: ``again``, ``orders_after``, ``amount_after``.
    group : str
        Column of the groups.
    reference : str
        Group that the others are compared with.
    adjust : sequence of str, optional
        Columns of numbers known before the case.
    level : float, default 0.95
        Confidence level.

    Returns
    -------
    GroupComparison

    Raises
    ------
    ContractError
        If columns are missing, a value is missing or not finite, the outcome or a covariate is constant or follows from
        the others, a group is missing or has one customer only, or there is no second group.

    References
    ----------
    Liang, K.-Y. & Zeger, S. L. (1986). Longitudinal data analysis using generalized linear models. *Biometrika* 73,
    13-22. (clustered errors)

    Examples
    --------
    >>> cases = pd.DataFrame({"customer_id": range(6), "end": ["lost", "mended"] * 3, "again": [0, 1, 0, 1, 1, 1]})
    >>> found = compare_groups(cases, "again", group="end", reference="lost").table
    >>> found[["cases", "mean", "difference"]].round(2).reset_index()
          end  cases  mean  difference
    0    lost      3  0.33         NaN
    1  mended      3  1.00        0.67
    """
    require_columns(table, ["customer_id", outcome, group, *adjust], "compare_groups")
    if outcome in adjust:
        raise ContractError(f"the outcome {outcome!r} cannot be adjusted for itself")
    _check_groups(table, outcome, group, reference, adjust)
    check_level(level)
    import statsmodels.api as sm

    names = [reference, *sorted(set(table[group]) - {reference}, key=str)]
    dummies = np.column_stack([table[group] == name for name in names]).astype(float)
    y, x = table[outcome].to_numpy(float), table[list(adjust)].to_numpy(float)
    design = np.column_stack([dummies, x - x.mean(axis=0)])
    if np.linalg.matrix_rank(design) < design.shape[1]:
        raise ContractError("a covariate follows from the others or from the groups: leave one out")
    by = {"groups": pd.factorize(table["customer_id"])[0]}
    plain, adjusted = (sm.OLS(y, one).fit(cov_type="cluster", cov_kwds=by) for one in (dummies, design))
    contrast = np.eye(len(names), design.shape[1])
    contrast[1:, 0] = -1.0
    test = adjusted.t_test(contrast)
    columns = {
        "cases": dummies.sum(axis=0).astype("int64"),
        **_with_limits("mean", plain.params, plain.conf_int(1 - level)),
        **_with_limits("adjusted", adjusted.params[: len(names)], adjusted.conf_int(1 - level)[: len(names)]),
        **_with_limits("difference", np.ravel(test.effect), test.conf_int(1 - level)),
        "p_value": np.ravel(test.pvalue),
    }
    found = pd.DataFrame(columns, index=pd.Index(names, name=group))
    found.loc[reference, ["difference", "difference_low", "difference_high", "p_value"]] = np.nan
    found = found.rename(columns={"mean_low": "low", "mean_high": "high"})
    return GroupComparison(found, outcome, reference, tuple(adjust), level)


def _with_limits(name: str, estimate: "Array", limits: "Array") -> dict[str, "Array"]:
    return {name: estimate, f"{name}_low": limits[:, 0], f"{name}_high": limits[:, 1]}


def _keys(customer: pd.Series, date: pd.Series) -> "Array":
    """Customer and second as one sortable number; windows of different customers never meet."""
    seconds = date.to_numpy().astype("datetime64[s]").astype("int64")
    return customer.to_numpy("int64") * _SPAN + seconds


def _check_table(table: pd.DataFrame, what: str, numbers: Sequence[str]) -> None:
    require_columns(table, ["customer_id", "date", *numbers], what)
    if table.empty:
        raise ContractError(f"{what}: no row")
    if not pd.api.types.is_datetime64_any_dtype(table["date"]) or table["date"].dt.tz is not None:
        raise ContractError(
            f"{what}: date must hold dates without a time zone, got {table['date'].dtype}; use pandas.to_datetime"
        )
    rules: dict[str, Any] = {"customer_id: missing": table["customer_id"].isna(), "date: missing": table["date"].isna()}
    for name in numbers:
        values = pd.to_numeric(table[name], errors="coerce").to_numpy("float64", na_value=np.nan)
        rules[f"{name}: not a finite number"] = ~np.isfinite(values)
    problems = broken_rules(rules)
    if problems:
        raise ContractError(f"{what} cannot be used (rows counted from 1)", problems)


def _check_groups(table: pd.DataFrame, outcome: str, group: str, reference: str, adjust: Sequence[str]) -> None:
    numbers = {
        name: pd.to_numeric(table[name], errors="coerce").to_numpy("float64", na_value=np.nan)
        for name in (outcome, *adjust)
    }
    problems = broken_rules(
        {f"{name}: not a finite number": ~np.isfinite(values) for name, values in numbers.items()}
        | {f"{name}: missing": table[name].isna() for name in (group, "customer_id")}
    )
    if not problems:
        problems += [f"{name}: the same value in every row" for name, values in numbers.items() if len(set(values)) < 2]
        people = table.groupby(group)["customer_id"].nunique()
        problems += [f"group {name!r} has one customer only" for name in people.index[people < 2]]
        if reference not in people.index or len(people) < 2:
            problems.append(
                f"need {reference!r} and another group; the groups are {', '.join(map(repr, people.index))}"
            )
    if problems:
        raise ContractError("these groups cannot be compared (rows counted from 1)", problems)
