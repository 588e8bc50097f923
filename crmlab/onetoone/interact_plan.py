"""Who is contacted with what, under consent, a cap on contacts and a budget; checked again on the day of sending."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from crmlab.contracts import as_day, broken_rules, one_of, require_columns
from crmlab.errors import ContractError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    Floats = npt.NDArray[np.float64]

Method = Literal["optimal", "greedy"]
_DATES = {"string", "date", "datetime", "datetime64", "empty"}  # numbers would be read as nanoseconds since 1970


def check_consents(consents: pd.DataFrame) -> pd.DataFrame:
    """Check a table of consents, and return its days without the time of day.

    Parameters
    ----------
    consents : pandas.DataFrame
        One row per consent: ``customer_id``, ``channel``, ``given_on`` (day), ``withdrawn_on`` (day; missing while it
        holds) and, where consent is given for a purpose, ``purpose``. Text dates are written as 2024-03-01.

    Raises
    ------
    ContractError
        Naming every broken rule with its rows.
    """
    require_columns(consents, ["customer_id", "channel", "given_on", "withdrawn_on"], "a table of consents")
    days = {name: _days(consents[name], "the consents") for name in ("given_on", "withdrawn_on")}
    named = [name for name in ("customer_id", "channel", "purpose") if name in consents.columns]
    rules = {f"{name}: missing": consents[name].isna() for name in named}
    rules["given_on: missing or no date"] = days["given_on"].isna()
    rules["withdrawn_on: no date"] = days["withdrawn_on"].isna() & consents["withdrawn_on"].notna()
    rules["withdrawn_on: before given_on"] = days["withdrawn_on"] < days["given_on"]
    problems = broken_rules(rules)
    if problems:
        raise ContractError("the consents table breaks its contract (rows counted from 1)", problems)
    return consents.assign(**days)


def _days(dates: pd.Series, where: str) -> pd.Series:
    """Days without the time of day; missing where there is no date."""
    if pd.api.types.infer_dtype(dates.astype(object), skipna=True) not in _DATES:
        raise ContractError(f"{dates.name} of {where} holds no dates but {dates.dtype}; write them as 'YYYY-MM-DD'")
    try:
        stamps = pd.to_datetime(dates, errors="coerce", format="ISO8601")
    except ValueError:  # several time zones
        stamps = dates
    if not pd.api.types.is_datetime64_dtype(stamps):
        raise ContractError(f"{dates.name} of {where} has a time zone; take it off: a day is the customer's")
    return stamps.dt.normalize()


def eligible(
    customers: "ArrayLike",
    consents: pd.DataFrame,
    *,
    channel: "str | ArrayLike",
    on: Any,
    purpose: str | None = None,
) -> pd.Series:
    """Whether each customer may be contacted: a consent to this channel and purpose is in force on this day.

    In doubt the answer is no: silence is no consent; a withdrawal ends every consent given before it or on its day, and
    counts from its day on; a consent given later holds again.

    Parameters
    ----------
    customers : array_like, shape (n,)
        Who would be contacted.
    consents : pandas.DataFrame
        As for `check_consents`.
    channel : str or array_like of str, shape (n,)
        By which way: one for all, or one per customer.
    on : date or str
        Day of the contact.
    purpose : str, optional
        What for. Needed if the consents have a purpose, and only then; nobody agreed to a purpose not among theirs.

    Returns
    -------
    pandas.Series of bool, shape (n,)
        With the index of `customers`, if it is a Series.

    Raises
    ------
    ContractError
        If the consents break their contract, a purpose is missing or given where the consents have none, or customers
        are numbers in one table and text in the other.

    Examples
    --------
    >>> consents = pd.DataFrame(
    ...     {"customer_id": [1, 2], "channel": "email", "given_on": "2024-01-10", "withdrawn_on": [None, "2024-03-01"]}
    ... )
    >>> eligible([1, 2, 3], consents, channel="email", on="2024-02-29").tolist()
    [True, True, False]
    >>> eligible([1, 2, 3], consents, channel="email", on="2024-03-01").tolist()
    [True, False, False]
    """
    if np.ndim(customers) != 1:
        raise ContractError(f"customers must be one column, got {np.ndim(customers)} dimensions")
    who = customers if isinstance(customers, pd.Series) else pd.Series(customers)
    day = pd.Timestamp(as_day(on, "on"))
    table = _for_purpose(check_consents(consents), purpose)
    check_same_ids(who, table, "the consents")
    ways = np.asarray(channel, dtype=object)
    if ways.shape not in ((), (len(who),)):
        raise ContractError(f"channel must be one for all or one for each of {len(who):,} customers, got {ways.shape}")
    way = np.broadcast_to(ways, len(who))
    known = table[table["given_on"] <= day]
    over = known["withdrawn_on"].where(known["withdrawn_on"] <= day)
    ended = over.groupby([known["customer_id"], known["channel"]]).transform("max")
    valid = known[ended.isna() | (known["given_on"] > ended)]
    allowed = pd.MultiIndex.from_frame(valid[["customer_id", "channel"]])
    return pd.Series(pd.MultiIndex.from_arrays([who.to_numpy(), way]).isin(allowed), who.index, name="eligible")


def _for_purpose(table: pd.DataFrame, purpose: str | None) -> pd.DataFrame:
    if "purpose" not in table.columns:
        if purpose is not None:
            raise ContractError(
                f"the consents do not say for which purpose they were given, so none covers {purpose!r}"
            )
        return table
    if not isinstance(purpose, str):
        raise ContractError(f"name the purpose, one of {', '.join(sorted(map(str, table['purpose'].unique())))}")
    return table[table["purpose"] == purpose]


def check_same_ids(ids: pd.Series, table: pd.DataFrame, where: str) -> None:
    """Refuse customers that are numbers here and text there, of whom none would be found in silence."""
    others = table["customer_id"]
    numeric = pd.api.types.is_numeric_dtype
    if len(ids) and len(others) and numeric(ids) != numeric(others):
        raise ContractError(
            f"customer_id is {others.dtype} in {where} and {ids.dtype} among the customers: nobody would match; "
            "convert one of them"
        )


@dataclass(frozen=True, eq=False)
class ContactPlan:
    """Who is contacted with what.

    Attributes
    ----------
    table : pandas.DataFrame
        The offers chosen, at most one per customer, as they were given, with ``net`` (value minus cost).
    left_out : pandas.Series
        Offers that were not even considered, by reason: ``no consent``, ``cap reached``, ``not worth its cost``.
    bound : float
        Net value that no plan under the same rules can exceed (the linear programme's); missing after `recheck`.
    shadow_price : float
        Net value that one more unit of budget would add; missing after `recheck`.
    budget : float
        Most that may be spent.
    on : datetime.date
        Day for which consent was checked.
    method : {"optimal", "greedy"}
        How it was chosen.
    purpose : str or None
        What for.
    """

    table: pd.DataFrame
    left_out: pd.Series
    bound: float
    shadow_price: float
    budget: float
    on: Any
    method: Method
    purpose: str | None

    @property
    def cost(self) -> float:
        """Money spent."""
        return float(self.table["cost"].sum())

    @property
    def net(self) -> float:
        """Expected value minus cost of all contacts."""
        return float(self.table["net"].sum())

    @property
    def gap(self) -> float:
        """Share of the bound that the plan falls short of at most; missing after `recheck`."""
        return 0.0 if self.bound == 0 else (self.bound - self.net) / self.bound

    def recheck(self, consents: pd.DataFrame, on: Any) -> "ContactPlan":
        """The same plan without those whose consent is no longer in force on the day of sending; nobody replaces them.

        Parameters
        ----------
        consents : pandas.DataFrame
            As they stand now.
        on : date or str
            Day of sending, not before the plan's.
        """
        day = as_day(on, "on")
        if day < self.on:
            raise ContractError(f"this plan was made for {self.on}; it cannot be sent before, on {day}")
        ids, channel = self.table["customer_id"], self.table["channel"]
        still = eligible(ids, consents, channel=channel, on=day, purpose=self.purpose)
        left_out = self.left_out.add(pd.Series({"withdrawn since": int((~still).sum())}), fill_value=0).astype(int)
        return replace(self, table=self.table[still], left_out=left_out, bound=np.nan, shadow_price=np.nan, on=day)

    def __repr__(self) -> str:
        reasons = ", ".join(f"{number:,} {reason}" for reason, number in self.left_out.items() if number)
        told = (
            f"{self.method.capitalize()} plan for {self.on}: {len(self.table):,} contacts, cost {self.cost:,.2f} of "
            f"{self.budget:,.2f}, net value {self.net:,.2f}\n  left out: {reasons or 'none'}"
        )
        if np.isnan(self.bound):
            return told
        return (
            f"{told}\n  no plan exceeds {self.bound:,.2f}, a gap of {self.gap:.2%}; one more unit of budget would add "
            f"{self.shadow_price:.3g}"
        )


def contact_plan(
    offers: pd.DataFrame,
    consents: pd.DataFrame,
    *,
    on: Any,
    budget: float,
    contacts: pd.DataFrame | None = None,
    cap: int = 4,
    days: int = 28,
    purpose: str | None = None,
    method: Method = "optimal",
) -> ContactPlan:
    """Choose whom to contact with what on one day: at most one offer per customer, within budget, cap and consent.

    .. math:: \\max_x \\sum_j (v_j - c_j) x_j \\quad \\text{subject to} \\quad \\sum_j c_j x_j \\le B, \\quad
        \\sum_{j \\in i} x_j \\le 1 \\ \\text{for every customer } i, \\quad 0 \\le x_j \\le 1

    ``"optimal"`` solves this linear programme (HiGHS), of which at most one customer's part is a fraction; that part is
    dropped, and what it leaves of the budget is spent greedily. ``"greedy"`` takes offers by net value per cost as long
    as they fit. Offers without consent, of customers at the cap, or worth no more than they cost are removed first: no
    value buys them back.

    Parameters
    ----------
    offers : pandas.DataFrame
        One row per customer and possible contact: ``customer_id``, ``channel``, ``value`` (expected, in money) and
        ``cost`` (above 0); further columns are kept.
    consents : pandas.DataFrame
        As for `eligible`.
    on : date or str
        Day of the contacts.
    budget : float
        Most that may be spent.
    contacts : pandas.DataFrame, optional
        Contacts made before: ``customer_id``, ``date``. Default: none.
    cap : int, default 4
        Most contacts of a customer in `days` days, the new one among them.
    days : int, default 28
        Length of that window, the day of the contacts included.
    purpose : str, optional
        As for `eligible`.
    method : {"optimal", "greedy"}
        How to choose.

    Returns
    -------
    ContactPlan

    Raises
    ------
    ContractError
        If a table breaks its contract, or a limit is none.

    References
    ----------
    Sinha, P. & Zoltners, A. A. (1979). The multiple-choice knapsack problem. *Operations Research* 27(3), 503-515.

    Examples
    --------
    Each customer can get a cheap or a dear message; the budget allows one dear and one cheap.

    >>> offers = pd.DataFrame({"customer_id": [1, 1, 2, 2], "channel": ["email", "mail"] * 2})
    >>> offers = offers.assign(value=[1.0, 4.0, 0.9, 2.0], cost=[0.1, 1.0, 0.1, 1.0])
    >>> consents = offers[["customer_id", "channel"]].assign(given_on="2024-01-01", withdrawn_on=None)
    >>> plan = contact_plan(offers, consents, on="2024-02-01", budget=1.1)
    >>> plan.table[["customer_id", "channel"]].to_numpy().tolist(), round(plan.net, 2)
    ([[1, 'mail'], [2, 'email']], 3.8)
    >>> round(contact_plan(offers, consents, on="2024-02-01", budget=1.1, method="greedy").net, 2)
    1.7
    """
    one_of("method", method, Method)
    day = as_day(on, "on")
    table = _check_offers(offers)
    for name, number, low in (("cap", cap, 0), ("days", days, 1)):
        if not (number >= low and number % 1 == 0):
            raise ContractError(f"{name} must be a whole number of {low} or more, got {number}")
    if not (np.isfinite(budget) and budget >= 0):
        raise ContractError(f"budget must be finite and 0 or more, got {budget}")
    ids = table["customer_id"]
    allowed = eligible(ids, consents, channel=table["channel"], on=day, purpose=purpose)
    free = ids.map(_recent(contacts, ids, day, days)).fillna(0) < cap
    pays = table["net"] > 0
    left_out = pd.Series(
        {
            "no consent": int((~allowed).sum()),
            "cap reached": int((allowed & ~free).sum()),
            "not worth its cost": int((allowed & free & ~pays).sum()),
        }
    )
    possible = table[allowed & free & pays]
    solution, bound, price = _linear(possible, budget)
    whole = solution if method == "optimal" else np.zeros(len(possible))
    chosen = _fill(possible, whole, budget)
    bound = max(bound, float(possible["net"][chosen].sum()))  # but for the solver's rounding it is never less
    return ContactPlan(possible[chosen], left_out, bound, price, float(budget), day, method, purpose)


def _check_offers(offers: pd.DataFrame) -> pd.DataFrame:
    require_columns(offers, ["customer_id", "channel", "value", "cost"], "a contact plan")
    if "net" in offers.columns:
        raise ContractError("the column 'net' is the plan's own; rename yours")
    value, cost = (
        pd.to_numeric(offers[name], errors="coerce").astype("Float64").to_numpy("float64", na_value=np.nan)
        for name in ("value", "cost")
    )
    rules = {f"{name}: missing": offers[name].isna().to_numpy() for name in ("customer_id", "channel")}
    rules["value: not a finite number"] = ~np.isfinite(value)
    rules["cost: not a finite number above 0"] = ~(np.isfinite(cost) & (cost > 0))
    problems = broken_rules(rules)
    if problems:
        raise ContractError("these offers cannot be planned (rows counted from 1)", problems)
    return offers.assign(value=value, cost=cost, net=value - cost)


def _recent(contacts: pd.DataFrame | None, ids: pd.Series, day: Any, days: int) -> pd.Series:
    """Contacts of each customer in the window that ends on `day`."""
    if contacts is None:
        return pd.Series(dtype=float)
    require_columns(contacts, ["customer_id", "date"], "the contacts before a plan")
    check_same_ids(ids, contacts, "the contacts")
    date = _days(contacts["date"], "the contacts")
    if date.isna().any():
        raise ContractError(
            "the contacts before a plan have no date (rows counted from 1)", broken_rules({"date": date.isna()})
        )
    end = pd.Timestamp(day)
    return contacts.loc[(date <= end) & (date > end - pd.Timedelta(days=days)), "customer_id"].value_counts()


def _linear(possible: pd.DataFrame, budget: float) -> "tuple[Floats, float, float]":
    """Solution of the linear programme, its value, and the shadow price of the budget."""
    from scipy.optimize import linprog
    from scipy.sparse import csr_array, vstack

    n = len(possible)
    if not n:
        return np.zeros(0), 0.0, 0.0
    person = pd.factorize(possible["customer_id"])[0]
    net, cost = possible["net"].to_numpy(), possible["cost"].to_numpy()
    most, dearest = net.max(), cost.max()  # the solver's tolerances are absolute, for numbers near 1
    one_each = csr_array((np.ones(n), (person, np.arange(n))))
    rows = vstack([one_each, csr_array(cost[None] / dearest)])
    limits = np.append(np.ones(one_each.shape[0]), budget / dearest)
    found = linprog(-net / most, A_ub=rows, b_ub=limits, bounds=(0, 1), method="highs-ds")
    return found.x, -float(found.fun) * most, -float(found.ineqlin.marginals[-1]) * most / dearest


def _fill(possible: pd.DataFrame, solution: "Floats", budget: float) -> npt.NDArray[np.bool_]:
    """Take what the solution takes whole, then by net value per cost, one offer each, while the budget lasts."""
    person, cost = pd.factorize(possible["customer_id"])[0], possible["cost"].to_numpy()
    room = budget * (1 + 1e-12)
    whole = np.argsort(-solution, kind="stable")[: (solution > 1 - 1e-6).sum()]
    whole = whole[np.cumsum(cost[whole]) <= room]  # a part just below 1 is the last one, and may not fit
    chosen = np.zeros(len(possible), dtype=bool)
    chosen[whole] = True
    taken, spent = set(person[whole].tolist()), float(cost[whole].sum())
    for j in np.argsort(-possible["net"].to_numpy() / cost, kind="stable"):
        if person[j] not in taken and spent + cost[j] <= room:
            chosen[j], spent = True, spent + cost[j]
            taken.add(person[j])
    return chosen
