"""How far a table without names still points at people: classes of look-alikes, and what an outsider could find.

A *quasi-identifier* is a column that an outsider may know of a person (age, region, date of the first order). Rows that
are alike in all of them form a class; a *sensitive* column is what nobody should learn from the table.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from crmlab.contracts import require_columns
from crmlab.errors import ContractError

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Anonymity:
    """How alike the customers of a table are.

    Attributes
    ----------
    customers : int
        Rows of the table.
    quasi_identifiers : tuple of str
        Columns that an outsider may know.
    classes : pandas.DataFrame
        One row per class, smallest first: its values, ``customers``, and for each sensitive column `s` the number of
        its values ``l_s`` and the share of the most frequent one ``top_s``.
    diversity : pandas.DataFrame
        One row per sensitive column: ``l`` (fewest distinct values in a class), ``entropy_l`` (exponential of the
        smallest entropy), ``t`` (largest total-variation distance of a class from the whole table), ``disclosed``
        (customers whose class has one value only: who finds the class learns it, alone in the class or not).
    """

    customers: int
    quasi_identifiers: tuple[str, ...]
    classes: pd.DataFrame
    diversity: pd.DataFrame

    @property
    def k(self) -> int:
        """Size of the smallest class."""
        return int(self.classes["customers"].min())

    @property
    def l(self) -> int:  # noqa: E743 - the field's own name
        """Fewest distinct values of a sensitive column in a class; 0 without a sensitive column."""
        return int(self.diversity["l"].min()) if len(self.diversity) else 0

    @property
    def unique(self) -> int:
        """Customers who are alone in their class."""
        return int((self.classes["customers"] == 1).sum())

    def __repr__(self) -> str:
        lines = [
            f"Anonymity of {self.customers:,} customers by {', '.join(self.quasi_identifiers)}",
            f"  k       {self.k:>8,}   customers in the smallest of {len(self.classes):,} classes",
            f"  unique  {self.unique:>8,}   customers alone in their class ({self.unique / self.customers:.1%})",
        ]
        lines += [
            f"  {name}: l = {row.l}, entropy l = {row.entropy_l:.2f}, t = {row.t:.2f}, "
            f"{row.disclosed:,} customers disclosed by a class of one value"
            for name, row in zip(self.diversity.index, self.diversity.itertuples(), strict=True)
        ]
        return "\n".join(lines)


def anonymity(
    table: pd.DataFrame,
    quasi_identifiers: Sequence[str],
    *,
    sensitive: str | Sequence[str] = (),
    customer: str | None = None,
) -> Anonymity:
    r"""Measure k-anonymity and l-diversity of a table.

    A table is *k*-anonymous if each of its customers looks like at least :math:`k - 1` others; it is *l*-diverse if
    each class has at least *l* values of the sensitive column. Entropy *l* is :math:`\min_c e^{H_c}` with the entropy
    :math:`H_c` of the class; *t*, for values that are equally far from each other, is
    :math:`\max_c \tfrac12 \sum_v |p_{cv} - p_v|`.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per customer.
    quasi_identifiers : sequence of str
        Columns that an outsider may know. A missing value is a value of its own.
    sensitive : str or sequence of str
        Columns that an outsider must not learn: classes or bands, no measured numbers.
    customer : str, optional
        Column that names the customer; if given, it is checked that nobody has two rows.

    Returns
    -------
    Anonymity

    Raises
    ------
    ContractError
        If columns are missing or used twice, the table is empty, a customer has several rows, or a sensitive column
        holds measured numbers.

    References
    ----------
    Sweeney, L. (2002). k-anonymity: a model for protecting privacy. *International Journal of Uncertainty, Fuzziness
    and Knowledge-Based Systems* 10, 557-570.
    Machanavajjhala, A., Kifer, D., Gehrke, J. & Venkitasubramaniam, M. (2007). l-diversity: privacy beyond
    k-anonymity. *ACM Transactions on Knowledge Discovery from Data* 1(1), 3.
    Li, N., Li, T. & Venkatasubramanian, S. (2007). t-closeness: privacy beyond k-anonymity and l-diversity. *ICDE*.

    Examples
    --------
    >>> table = pd.DataFrame({"age": ["20s", "20s", "30s", "30s"], "buys": ["tea", "tea", "tea", "wine"]})
    >>> found = anonymity(table, ["age"], sensitive="buys")
    >>> found.k, found.l, found.diversity.loc["buys", "disclosed"]
    (2, 1, np.int64(2))
    """
    quasi, secret = checked_columns("anonymity", table, quasi_identifiers, sensitive, customer)
    group = class_numbers(table, quasi)
    size = np.bincount(group)
    first = np.unique(group, return_index=True)[1]
    classes = table[quasi].iloc[first].reset_index(drop=True).assign(customers=size)
    diversity = {}
    for name in secret:
        count = pd.crosstab(group, class_numbers(table, [name])).to_numpy()
        share, overall = count / size[:, None], count.sum(axis=0) / len(table)
        entropy = -np.sum(share * np.log(np.where(count > 0, share, 1.0)), axis=1)
        classes[f"l_{name}"], classes[f"top_{name}"] = (count > 0).sum(axis=1), share.max(axis=1)
        diversity[name] = {
            "l": int(classes[f"l_{name}"].min()),
            "entropy_l": float(np.exp(entropy.min())),
            "t": float(np.abs(share - overall).sum(axis=1).max() / 2),
            "disclosed": int(size[classes[f"l_{name}"] == 1].sum()),
        }
    kinds = {"l": "int64", "entropy_l": "float64", "t": "float64", "disclosed": "int64"}
    told = pd.DataFrame(diversity, index=list(kinds)).T.astype(kinds)
    ordered = classes.sort_values("customers", kind="stable", ignore_index=True)
    return Anonymity(len(table), tuple(quasi), ordered, told)


@dataclass(frozen=True, eq=False)
class ReidentificationRisk:
    """What an outsider who knows the quasi-identifiers of everybody in a population can expect.

    Attributes
    ----------
    customers, population : int
        Rows of the released table, and of the population that they come from.
    sample_unique, population_unique : int
        Released customers alone in their class of the release, and alone in their class of the population.
    expected_hits : float
        Released customers whom the outsider is expected to name rightly: the sum of 1 / (class size in the population).
    highest : float
        Highest chance of a single customer to be named rightly.
    """

    customers: int
    population: int
    sample_unique: int
    population_unique: int
    expected_hits: float
    highest: float

    @property
    def expected_share(self) -> float:
        """Expected share of the released customers named rightly."""
        return self.expected_hits / self.customers

    def __repr__(self) -> str:
        return (
            f"Re-identification risk of {self.customers:,} customers out of a population of {self.population:,}\n"
            f"  alone in the release {self.sample_unique:>9,}\n"
            f"  alone in the population {self.population_unique:>6,}\n"
            f"  expected hits {self.expected_hits:>16,.1f}   ({self.expected_share:.1%} of the release)\n"
            f"  highest chance {self.highest:>15.0%}"
        )


def reidentification_risk(
    released: pd.DataFrame, columns: Sequence[str], *, population: pd.DataFrame | None = None
) -> ReidentificationRisk:
    r"""Chance that an outsider names the customers of a released table.

    The outsider has a list of a population with these columns and the names, takes for each released row those who
    look the same, and guesses one of them: the chance to be right is :math:`1 / F`, with :math:`F` the number of
    look-alikes in the population. Being alone in a *sample* is no proof of being alone in the *population*.

    Parameters
    ----------
    released : pandas.DataFrame
        One row per customer.
    columns : sequence of str
        What the outsider knows. A missing value is a value of its own.
    population : pandas.DataFrame, optional
        Everybody the outsider must choose from, the released customers included, coded like the release. Without one
        it is the release itself: the outsider knows who is in it.

    Returns
    -------
    ReidentificationRisk
        It assumes that what the outsider knows is right, and that nothing else is known.

    Raises
    ------
    ContractError
        If columns are missing, a table is empty, or the release holds more customers of a class than the population.

    References
    ----------
    Dankar, F. K. & El Emam, K. (2010). A method for evaluating marketer re-identification risk. *EDBT/ICDT Workshops*.

    Examples
    --------
    >>> people = pd.DataFrame({"region": ["north", "north", "south", "south"], "age": [30, 30, 30, 41]})
    >>> risk = reidentification_risk(people.tail(3), ["region", "age"], population=people)
    >>> risk.sample_unique, risk.population_unique, risk.expected_hits
    (3, 2, 2.5)
    """
    known, _ = checked_columns("reidentification_risk", released, columns, (), None)
    everybody = released if population is None else population
    checked_columns("reidentification_risk (population)", everybody, known, (), None)
    both = class_numbers(pd.concat([released[known], everybody[known]], ignore_index=True), known)
    mine, theirs = both[: len(released)], both[len(released) :]
    in_release, in_population = (np.bincount(one, minlength=int(both.max()) + 1) for one in (mine, theirs))
    short = np.flatnonzero(in_release > in_population)
    if len(short):
        first = released[known].iloc[int(np.flatnonzero(mine == short[0])[0])].to_dict()
        raise ContractError(
            f"the release holds more customers than the population in {len(short):,} classes (first: {first}, "
            f"{in_release[short[0]]} in the release, {in_population[short[0]]} in the population): give the whole "
            "population, coded by the same bands as the release"
        )
    size = in_population[mine]
    return ReidentificationRisk(
        len(released),
        len(everybody),
        int((in_release[mine] == 1).sum()),
        int((size == 1).sum()),
        float((1 / size).sum()),
        float(1 / size.min()),
    )


def checked_columns(
    what: str, table: Any, quasi: str | Sequence[str], sensitive: str | Sequence[str], customer: str | None
) -> tuple[list[str], list[str]]:
    """The names of the columns as lists, after all that must hold of them has been checked."""
    known, secret = ([one] if isinstance(one, str) else list(one) for one in (quasi, sensitive))
    others = [] if customer is None else [customer]
    require_columns(table, [*known, *secret, *others], what)
    names = [*known, *secret, *others]
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ContractError(f"{what}: column {', '.join(map(repr, twice))} is given more than one role, or twice")
    if not known:
        raise ContractError(f"{what} needs at least one column that an outsider may know")
    if len(table) == 0:
        raise ContractError(f"{what} cannot be computed of no row: the table is empty")
    if customer is not None:
        if table[customer].isna().any():
            raise ContractError(f"{what}: column {customer!r} is missing in {int(table[customer].isna().sum()):,} rows")
        again = table[customer].duplicated()
        if again.any():
            raise ContractError(
                f"{what} needs one row per customer; {int(again.sum()):,} rows repeat a {customer!r} (first: row "
                f"{int(np.flatnonzero(again)[0]) + 1}, counted from 1): summarise the table by customer first"
            )
    for name in secret:
        values = table[name].dropna()
        if pd.api.types.is_float_dtype(values) and (values % 1 != 0).any():
            raise ContractError(
                f"{what}: the sensitive column {name!r} holds measured numbers, of which each is another: cut it into "
                "bands first, e.g. with pandas.cut"
            )
    return known, secret


def class_numbers(table: pd.DataFrame, columns: Sequence[str]) -> Ints:
    """A number from 0 for each row, equal for rows that are alike in all columns; missing is a value of its own."""
    try:
        found = table.groupby(list(columns), sort=False, dropna=False, observed=True).ngroup()
    except TypeError as error:
        raise ContractError(f"columns {', '.join(map(repr, columns))} hold values without equality: {error}") from None
    return np.asarray(found, dtype="int64")
