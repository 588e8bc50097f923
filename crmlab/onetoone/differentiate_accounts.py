"""Who looks after which account: an assignment with capacities, and the worth of one more hour."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from crmlab.contracts import broken_rules, check_aligned
from crmlab.errors import ContractError


@dataclass(frozen=True, eq=False)
class AccountPlan:
    """Who looks after which account.

    Attributes
    ----------
    table : pandas.DataFrame
        Per account: ``owner`` (missing if nobody's), ``load`` (hours) and ``gain`` (money) of the pair.
    owners : pandas.DataFrame
        Per owner: ``accounts``, ``used`` and ``capacity`` (hours), ``gain`` (money), and ``shadow_price``: money that
        one more hour would bring, as long as hours are few and accounts can be divided.
    total : float
        Gain of the plan, money.
    bound : float
        No plan can gain more than this (accounts divided at will).
    """

    table: pd.DataFrame
    owners: pd.DataFrame
    total: float
    bound: float

    def __repr__(self) -> str:
        alone = int(self.table["owner"].isna().sum())
        head = (
            f"{len(self.table) - alone:,} of {len(self.table):,} accounts looked after: gain {self.total:,.0f}, "
            f"at most {self.bound:,.0f} possible"
        )
        return f"{head}\n{self.owners.round(2).to_string()}"


def assign_accounts(
    gain: pd.DataFrame, load: pd.Series, capacity: pd.Series, *, tolerance: float = 0.001
) -> AccountPlan:
    """Give every account to at most one owner so that the gain is highest and nobody has more than can be done.

    Owners are persons, or teams of persons who are alike. A pair that gains nothing is never made.

    Parameters
    ----------
    gain : pandas.DataFrame, shape (accounts, owners)
        Money per period that an account brings more if this owner looks after it than if nobody does; missing where the
        pair is not allowed.
    load : pandas.Series of float
        Hours per period that an account takes, above 0; same index as `gain`.
    capacity : pandas.Series of float
        Hours per period of each owner, 0 or more; its index are the columns of `gain`.
    tolerance : float, default 0.001
        Share of the best gain that the plan may miss; a smaller one takes longer.

    Raises
    ------
    ContractError
        If indexes do not fit, a name appears twice, or numbers are out of range.

    Notes
    -----
    Without whole accounts this is a linear programme, whose optimum is the bound and whose duals are the shadow prices
    (Dantzig 1963, ch. 12). Whole accounts make it a generalised assignment problem, solved by branch and bound
    (HiGHS, as in scipy).

    References
    ----------
    Ross, G. T. & Soland, R. M. (1975). A branch and bound algorithm for the generalized assignment problem.
    *Mathematical Programming* 8, 91-103.

    Examples
    --------
    >>> gain = pd.DataFrame({"Li": [90, 80, 20], "Wu": [70, 10, 15]}, index=["A", "B", "C"])
    >>> one = pd.Series(1, index=gain.index)
    >>> plan = assign_accounts(gain, one, pd.Series({"Li": 1, "Wu": 1}))
    >>> plan.table["owner"].tolist(), plan.total
    (['Wu', 'Li', nan], 150.0)
    """
    money, hours, room = _checked(gain, load, capacity)
    if not 0 <= tolerance < 1:
        raise ContractError(f"tolerance must be at least 0 and below 1, got {tolerance}")
    account, owner = np.nonzero(money > 0)
    worth = money[account, owner]
    plan, bound, price = _solve(worth, account, owner, hours, room, tolerance)
    chosen = np.full(len(gain), -1)
    chosen[account[plan]] = owner[plan]
    owned = pd.Series(chosen, gain.index).map(dict(enumerate(gain.columns)))
    got = np.zeros(len(gain))
    got[account[plan]] = worth[plan]
    table = pd.DataFrame({"owner": owned, "load": hours, "gain": got}, index=gain.index)
    mine = chosen >= 0

    def by_owner(weight: np.ndarray) -> np.ndarray:
        return np.bincount(chosen[mine], weights=weight[mine], minlength=len(room))

    owners = pd.DataFrame(
        {
            "accounts": by_owner(np.ones(len(gain))).astype(int),
            "used": by_owner(hours),
            "capacity": room,
            "gain": by_owner(got),
            "shadow_price": price,
        },
        index=gain.columns.rename("owner"),
    )
    return AccountPlan(table, owners, float(got.sum()), bound)


def _checked(gain: pd.DataFrame, load: pd.Series, capacity: pd.Series) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    check_aligned("an assignment of accounts", gain, load=load)
    if not isinstance(capacity, pd.Series) or not capacity.index.equals(gain.columns):
        raise ContractError("an assignment of accounts needs a capacity for each column of gain, in their order")
    money = gain.apply(pd.to_numeric, errors="coerce").to_numpy(float)
    hours, room = (pd.to_numeric(one, errors="coerce").to_numpy(float) for one in (load, capacity))
    words = gain.notna().to_numpy() & ~np.isfinite(money)
    problems = broken_rules(
        {
            "gain: no finite number": words.any(axis=1),
            "accounts: the same name twice": pd.Series(gain.index.duplicated(), dtype=bool),
            "load: not a finite number above 0": ~(np.isfinite(hours) & (hours > 0)),
            "owners: the same name twice": pd.Series(gain.columns.duplicated(), dtype=bool),
            "capacity: not a finite number of 0 or more": ~(np.isfinite(room) & (room >= 0)),
        }
    )
    if problems:
        raise ContractError("accounts cannot be assigned (rows counted from 1)", problems)
    return np.nan_to_num(money, nan=0.0), hours, room


def _solve(
    worth: np.ndarray, account: np.ndarray, owner: np.ndarray, hours: np.ndarray, room: np.ndarray, gap: float
) -> tuple[np.ndarray, float, np.ndarray]:
    """Which pairs are made, the bound, and the price of an hour of each owner."""
    from scipy.optimize import Bounds, LinearConstraint, linprog, milp
    from scipy.sparse import csr_array, vstack

    pairs = len(worth)
    if not pairs:
        return np.zeros(0, dtype=bool), 0.0, np.zeros(len(room))
    column = np.arange(pairs)
    once = csr_array((np.ones(pairs), (account, column)), shape=(len(hours), pairs))
    time = csr_array((hours[account], (owner, column)), shape=(len(room), pairs))
    rules, limit = vstack([once, time]), np.concatenate([np.ones(len(hours)), room])
    relaxed = linprog(-worth, A_ub=rules, b_ub=limit, bounds=(0, 1), method="highs")
    whole = milp(
        -worth,
        integrality=np.ones(pairs),
        bounds=Bounds(0, 1),
        constraints=LinearConstraint(rules, ub=limit),
        options={"mip_rel_gap": gap},
    )
    if relaxed.status or whole.status:
        raise ContractError(f"the assignment was not solved: {relaxed.message} {whole.message}")
    price = np.maximum(-relaxed.ineqlin.marginals[len(hours) :], 0.0)
    return whole.x > 0.5, float(0.0 - relaxed.fun), price
