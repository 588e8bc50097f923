"""Counts of customers with differential privacy, and the budget that limits how often one may look.

A release is ε-differentially private if no outcome becomes more than e^ε times as likely, or less likely, when one
customer is added or taken away with all their rows. Several releases add their ε; releases about different people do
not.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from crmlab.contracts import require_columns
from crmlab.errors import ContractError
from crmlab.onetoone.privacy import class_numbers
from crmlab.stats import check_level

Ints = npt.NDArray[np.int64]

_MOST_CELLS = 100_000


class Budget:
    """A privacy budget: what may be spent on one table in all, and the ledger of what was.

    Spendings on the whole table add up (sequential composition). Those on parts that no customer can be in twice, such
    as regions of residence, cost as much as the dearest part (parallel composition).

    Parameters
    ----------
    epsilon : float
        Budget for the life of the table, above 0.
    ledger : pandas.DataFrame, optional
        The `ledger` of an earlier session: a budget that starts anew with every session protects nobody.

    Examples
    --------
    >>> budget = Budget(1.0)
    >>> budget.spend(0.5, "customers by region")
    >>> budget.spend(0.25, "customers by age", within=("region", "north"))
    >>> budget.spend(0.25, "customers by age", within=("region", "south"))
    >>> budget.spent, budget.left
    (0.75, 0.25)
    >>> budget.spend(0.5, "customers by income")
    Traceback (most recent call last):
    crmlab.errors.ContractError: the privacy budget does not allow 'customers by income': it would bring what is ...
    """

    def __init__(self, epsilon: float, *, ledger: pd.DataFrame | None = None) -> None:
        self.epsilon = _positive("a privacy budget", epsilon)
        self._entries: list[tuple[str, str, str, float]] = []
        if ledger is not None:
            require_columns(ledger, ["what", "column", "part", "epsilon"], "a ledger")
            if (ledger["part"].isna() & ledger["column"].notna() & (ledger["column"] != "")).any():
                raise ContractError(
                    "the ledger has lost the name of a part: read its file with pandas.read_csv(..., "
                    "keep_default_na=False)"
                )
            for what, column, part, spent in (
                ledger[["what", "column", "part", "epsilon"]].fillna("").itertuples(index=False)
            ):
                entry = str(what), str(column), _part_name(part), _positive("an entry of the ledger", spent)
                self._entries.append(entry)
            if self.spent > self.epsilon + 1e-9:
                raise ContractError(f"the ledger has spent {self.spent:g}, more than the budget of {self.epsilon:g}")

    @property
    def spent(self) -> float:
        """What has been spent, in units of ε."""
        return _composed(self._entries)

    @property
    def left(self) -> float:
        """What may still be spent on the whole table."""
        return max(self.epsilon - self.spent, 0.0)

    @property
    def ledger(self) -> pd.DataFrame:
        """Every spending: ``what``, ``column`` and ``part`` if of a part, ``epsilon``; keep it in a file."""
        return pd.DataFrame(self._entries, columns=["what", "column", "part", "epsilon"]).astype({"epsilon": "float64"})

    def spend(self, epsilon: float, what: str, *, within: tuple[str, str] | None = None) -> None:
        """Book a release before it is made.

        Parameters
        ----------
        epsilon : float
            What it costs, above 0.
        what : str
            What is released, for the ledger.
        within : tuple of str, optional
            Column and value, if only customers with this value are looked at; each customer must have one value.

        Raises
        ------
        ContractError
            If it would cost more than is left; nothing is booked then.
        """
        column, part = ("", "") if within is None else (str(within[0]), _part_name(within[1]))
        entry = (str(what), column, part, _positive("a spending", epsilon))
        after = _composed([*self._entries, entry])
        if after > self.epsilon + 1e-9:
            raise ContractError(
                f"the privacy budget does not allow {what!r}: it would bring what is spent from {self.spent:.4g} to "
                f"{after:.4g} of {self.epsilon:.4g}. Spend less, publish fewer tables, or stop: the budget is for the "
                "life of the table"
            )
        self._entries.append(entry)

    def __repr__(self) -> str:
        lines = [f"Budget of ε = {self.epsilon:g}: {self.spent:.4g} spent, {self.left:.4g} left"]
        lines += [
            f"  {epsilon:<6g} {what}" + (f" ({column} = {part})" if column else "")
            for what, column, part, epsilon in self._entries
        ]
        return "\n".join(lines)


@dataclass(frozen=True, eq=False)
class PrivateCounts:
    """Noisy counts of customers; nothing exact is kept in it.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per cell, empty ones too: its values, the noisy ``count`` (it may be negative), and ``low``, ``high``,
        an interval for the true count of the (bounded) table, from 0.
    epsilon : float
        Privacy loss of the whole table.
    most_cells : int
        In how many cells a customer was counted at most.
    scale : float
        Scale of the discrete Laplace noise, in customers: ``most_cells / epsilon``.
    half_width : int
        Customers by which a count is off at most, with probability `level` for each single cell.
    level : float
    rehearsal : bool
        True: the noise came from a seed and protects nobody.
    """

    table: pd.DataFrame
    epsilon: float
    most_cells: int
    scale: float
    half_width: int
    level: float
    rehearsal: bool

    def __repr__(self) -> str:
        return "\n".join(
            [
                f"Counts of customers in {len(self.table):,} cells, ε = {self.epsilon:g}"
                + (" (rehearsal with a seed: NOT private)" if self.rehearsal else ""),
                f"  a customer is in at most {self.most_cells} cell(s); noise of scale {self.scale:.3g} customers",
                f"  a single count is within ±{self.half_width} with probability {self.level:g}",
                self.table.head(10).to_string(index=False),
            ]
        ) + (f"\n  ... and {len(self.table) - 10:,} more cells" if len(self.table) > 10 else "")


def private_counts(
    table: pd.DataFrame,
    cells: Mapping[str, Sequence[Any]],
    *,
    epsilon: float,
    budget: Budget,
    customer: str | None = None,
    most_cells: int = 1,
    within: tuple[str, Any] | None = None,
    level: float = 0.95,
    rehearsal: int | None = None,
) -> PrivateCounts:
    r"""Count customers by cell with ε-differential privacy.

    Each cell of all combinations gets the number of its customers plus discrete Laplace noise,
    :math:`P(X = x) \propto e^{-|x| / b}` with :math:`b = m / \varepsilon`, where *m* is the number of cells that one
    customer can change. Noise is OpenDP's, from the machine's secure generator, so that two calls differ.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per customer, or per event of a customer if `customer` is given.
    cells : mapping of str to sequence
        Column to the values that are published. They are fixed before the data are seen: a list taken from the data
        would tell by itself that somebody is there.
    epsilon : float
        Privacy loss of this release, booked before the noise is drawn.
    budget : Budget
        What it is taken from.
    customer : str, optional
        Column that names the customer. A customer is counted once in a cell.
    most_cells : int, default 1
        With `customer`: cells in which one customer counts. Those who are in more are kept in this many of them, drawn
        at random; the others are lost, so that counts become too small.
    within : tuple, optional
        Column and value: only these rows are counted, and booked as a part. Each customer must have one value.
    level : float, default 0.95
        Probability of the interval of each single cell.
    rehearsal : int, optional
        A seed. The noise can then be drawn again, for a lesson or a test, and be taken off again: never publish it.

    Returns
    -------
    PrivateCounts

    Raises
    ------
    ContractError
        If the input is none of the above, a row has a value that is not in `cells`, or the budget does not allow it.

    References
    ----------
    Dwork, C., McSherry, F., Nissim, K. & Smith, A. (2006). Calibrating noise to sensitivity in private data analysis.
    *TCC*, 265-284.
    Ghosh, A., Roughgarden, T. & Sundararajan, M. (2012). Universally utility-maximizing privacy mechanisms. *SIAM
    Journal on Computing* 41(6), 1673-1693, for the discrete noise.
    Canonne, C., Kamath, G. & Steinke, T. (2020). The discrete Gaussian for differential privacy. *NeurIPS*, for its
    exact sampling.

    Examples
    --------
    >>> people = pd.DataFrame({"region": ["north"] * 60 + ["south"] * 40})
    >>> budget = Budget(1.0)
    >>> counts = private_counts(people, {"region": ["north", "south"]}, epsilon=0.5, budget=budget, rehearsal=1)
    >>> counts.half_width, budget.left
    (6, 0.5)
    """
    _check_wishes(cells, budget, customer, most_cells, rehearsal)
    if within is not None and not (isinstance(within, tuple) and len(within) == 2):
        raise ContractError(f"within must be a column and a value, e.g. ('region', 'north'), got {within!r}")
    epsilon, level = _positive("epsilon", epsilon), check_level(level)
    names = list(cells)
    others = [name for name in (customer, within[0] if within else None) if name is not None]
    require_columns(table, [*dict.fromkeys([*names, *others])], "private_counts")
    part = None
    if within is not None:
        table = _part(table, within, customer)
        part = within[0], table[within[0]].iloc[0] if len(table) else within[1]  # as the table writes it
    position = _positions(table, cells)
    rng = np.random.default_rng(rehearsal)
    if customer is not None:
        if table[customer].isna().any():
            raise ContractError(f"column {customer!r} is missing in {int(table[customer].isna().sum()):,} rows")
        position = _bounded(class_numbers(table, [customer]), position, most_cells, rng)
    shape = tuple(len(values) for values in cells.values())
    exact = np.bincount(position, minlength=math.prod(shape))
    budget.spend(epsilon, "customers by " + " × ".join(names), within=part)
    scale = most_cells / epsilon
    noisy = _rehearsed(exact, scale, rng) if rehearsal is not None else _secured(exact, epsilon, most_cells)
    half = _half_width(scale, level)
    values = [np.asarray(pd.Series(list(one)), dtype=object) for one in cells.values()]
    index = np.indices(shape).reshape(len(shape), -1)
    released = pd.DataFrame({name: pd.Series(one[i]) for name, one, i in zip(names, values, index, strict=True)})
    released["count"] = noisy
    released["low"], released["high"] = np.maximum(noisy - half, 0), np.maximum(noisy + half, 0)
    return PrivateCounts(released.infer_objects(), epsilon, most_cells, scale, half, level, rehearsal is not None)


def _composed(entries: Sequence[tuple[str, str, str, float]]) -> float:
    parts: dict[tuple[str, str], float] = {}
    for _, column, part, epsilon in entries:
        parts[column, part] = parts.get((column, part), 0.0) + epsilon
    dearest: dict[str, float] = {}
    for (column, _), epsilon in parts.items():
        dearest[column] = max(dearest.get(column, 0.0), epsilon)
    return math.fsum(dearest.values())


def _part_name(part: Any) -> str:
    """One name for 1, 1.0 and "1", however a file has kept it: a part booked under two names would be spent twice."""
    try:
        number = float(part)
    except (TypeError, ValueError):
        return str(part)
    return f"{number:.15g}" if math.isfinite(number) else str(part)


def _positive(what: str, epsilon: Any) -> float:
    number = isinstance(epsilon, int | float | np.number) and not isinstance(epsilon, bool)
    if not number or not math.isfinite(epsilon) or epsilon < 1e-9:
        raise ContractError(f"{what} must be a finite number above 0 (1e-9 or more), got {epsilon!r}")
    return float(epsilon)


def _check_wishes(cells: Any, budget: Any, customer: str | None, most_cells: Any, rehearsal: Any) -> None:
    problems = []
    if not isinstance(cells, Mapping) or not cells:
        problems.append("cells must map each column to the values that are published, e.g. {'region': ['north', ...]}")
    else:
        for name, values in cells.items():
            listed = pd.Index([] if isinstance(values, str) or not hasattr(values, "__iter__") else list(values))
            if (
                not len(listed)
                or listed.hasnans
                or not listed.map(pd.api.types.is_hashable).all()
                or listed.has_duplicates
            ):
                problems.append(f"cells[{name!r}] must be a list of different values without a missing one")
            if name in ("count", "low", "high"):
                problems.append(f"a column of the cells is named {name!r}, as a column of the result: rename it")
        if not problems and math.prod(len(values) for values in cells.values()) > _MOST_CELLS:
            problems.append(f"there are more than {_MOST_CELLS:,} cells")
    if not isinstance(budget, Budget):
        problems.append(f"budget must be a Budget, got {type(budget).__name__}")
    whole = {"most_cells": most_cells} | ({} if rehearsal is None else {"rehearsal": rehearsal})
    for name, value in whole.items():
        if isinstance(value, bool) or not hasattr(value, "__index__") or value < (name == "most_cells"):
            problems.append(f"{name} must be a whole number of {int(name == 'most_cells')} or more, got {value!r}")
    if not problems and customer is None and most_cells > 1:
        problems.append("most_cells above 1 needs `customer`: without it each row is one customer in one cell")
    if problems:
        raise ContractError("private_counts cannot work with these arguments", problems)


def _part(table: pd.DataFrame, within: tuple[str, Any], customer: str | None) -> pd.DataFrame:
    column, value = within
    if customer is not None:
        several = table.groupby(customer)[column].nunique(dropna=False) > 1
        if several.any():
            raise ContractError(
                f"{int(several.sum()):,} customers have several values of {column!r}: parts that share customers do "
                "not compose in parallel; count the whole table instead"
            )
    return table[table[column] == value]


def _positions(table: pd.DataFrame, cells: Mapping[str, Sequence[Any]]) -> Ints:
    position, problems = np.zeros(len(table), dtype="int64"), []
    for name, values in cells.items():
        code = pd.Index(list(values)).get_indexer(pd.Index(table[name]))
        if (code < 0).any():
            first = ", ".join(map(repr, table[name][code < 0].unique()[:3]))
            problems.append(
                f"column {name!r}: {int((code < 0).sum()):,} rows hold values that are not listed ({first})"
            )
        position = position * len(values) + code
    if problems:
        raise ContractError("list every value that shall be counted, or recode the others to one 'other'", problems)
    return position


def _bounded(customer: Ints, position: Ints, most: int, rng: np.random.Generator) -> Ints:
    """The cells of every customer, each once and no more than `most`, drawn at random."""
    pairs = np.unique(np.column_stack([customer, position]), axis=0)
    pairs = pairs[rng.permutation(len(pairs))]
    place = pd.Series(pairs[:, 0]).groupby(pairs[:, 0]).cumcount().to_numpy()
    return np.asarray(pairs[place < most, 1], dtype="int64")


def _half_width(scale: float, level: float) -> int:
    """Smallest whole h with P(|X| <= h) >= level: the tail beyond h is 2 q^(h + 1) / (1 + q), with q = exp(-1 / b)."""
    q = math.exp(-1.0 / scale)
    if q == 0.0:
        return 0
    return max(math.ceil(math.log((1.0 - level) * (1.0 + q) / 2.0) / math.log(q) - 1.0 - 1e-9), 0)


def _rehearsed(exact: Ints, scale: float, rng: np.random.Generator) -> Ints:
    p = -math.expm1(-1.0 / scale)
    return np.asarray(exact + rng.geometric(p, len(exact)) - rng.geometric(p, len(exact)), dtype="int64")


def _secured(exact: Ints, epsilon: float, most_cells: int) -> Ints:
    import opendp.prelude as dp

    dp.enable_features("contrib")
    space = dp.vector_domain(dp.atom_domain(T=dp.i64)), dp.l1_distance(T=dp.i64)
    scale = dp.binary_search_param(lambda b: dp.m.make_laplace(*space, scale=b), d_in=most_cells, d_out=epsilon)
    return np.asarray(dp.m.make_laplace(*space, scale=scale)(exact.tolist()), dtype="int64")
