"""Make a table k-anonymous and l-diverse: coarser values, found by a search of all combinations, and rows left out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from crmlab.contracts import require_columns
from crmlab.errors import ContractError
from crmlab.onetoone.privacy import Anonymity, anonymity, checked_columns, class_numbers

Ints = npt.NDArray[np.int64]
Step = float | str | Mapping[Any, Any] | Callable[[pd.Series], pd.Series]

TOP = "*"
_PERIODS = {"month": "M", "quarter": "Q", "year": "Y"}
_MOST_NODES = 20_000


@dataclass(frozen=True, eq=False)
class Generalised:
    """A table that was made coarser, and what that cost.

    Attributes
    ----------
    table : pandas.DataFrame
        The release: quasi-identifiers as they are published, and the sensitive columns; all other columns, the index
        and the order of the rows are gone.
    kept : pandas.Series of bool
        For each row given: whether it is in the release, or was suppressed.
    steps : mapping of str to Step
        For each quasi-identifier the step taken; None: as it was, ``"*"``: gone altogether.
    loss : float
        Information lost, 0 to 1: for each row and column (values merged with this one) / (values - 1), a suppressed row
        counting 1.
    nodes : pandas.DataFrame
        Every combination tried: the level of each column (0: as it is), ``classes``, ``suppressed``, ``loss``,
        ``enough`` (whether it keeps k, l and the limit on suppression) and ``minimal`` (enough, and no column can go
        down a level).
    anonymity : Anonymity
        Of the release.
    """

    table: pd.DataFrame
    kept: pd.Series
    steps: Mapping[str, Any]
    loss: float
    nodes: pd.DataFrame
    anonymity: Anonymity

    @property
    def suppressed(self) -> int:
        """Rows left out."""
        return int((~self.kept).sum())

    def recode(self, other: pd.DataFrame) -> pd.DataFrame:
        """The quasi-identifiers of another table (a population, say), coded like the release; its index stays."""
        require_columns(other, list(self.steps), "recode")
        return pd.DataFrame({name: recoded(other[name], step) for name, step in self.steps.items()}, index=other.index)

    def __repr__(self) -> str:
        told = [
            f"  {name:<20} {'as it was' if step is None else 'gone' if step == TOP else _word(step)}"
            for name, step in self.steps.items()
        ]
        found = self.anonymity
        return "\n".join(
            [
                f"Generalised: {len(self.table):,} of {len(self.kept):,} rows, k = {found.k}"
                + (f", l = {found.l}" if len(found.diversity) else ""),
                *told,
                f"  suppressed           {self.suppressed:,} rows ({self.suppressed / len(self.kept):.1%})",
                f"  information loss     {self.loss:.3f} (least of {int(self.nodes['enough'].sum())} combinations that "
                f"are enough, {len(self.nodes)} tried)",
            ]
        )


def generalise(
    table: pd.DataFrame,
    ladders: Mapping[str, Sequence[Step]],
    *,
    k: int,
    l: int = 1,  # noqa: E741 - the field's own name
    sensitive: str | Sequence[str] = (),
    suppress: float = 0.0,
    customer: str | None = None,
) -> Generalised:
    """Find the coarser table that keeps *k* and *l* and loses least.

    Each quasi-identifier has a ladder of steps from fine to coarse, each made from the column as it is: a number is the
    width of bands, ``"month"``, ``"quarter"`` and ``"year"`` cut dates, a mapping takes each value to its group, a
    function takes the column to a coarser one (``lambda postcode: postcode.str[:2]``). The top step ``"*"``, where
    nothing is left, is added. A whole column takes one step (full-domain generalisation); the levels of all columns
    form a lattice, and every node of it is tried. In each node rows of classes that are too small or too uniform are
    suppressed.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per customer; it is not changed.
    ladders : mapping of str to sequence of Step
        Quasi-identifier to its steps, possibly none.
    k : int
        Fewest customers in a class, 1 or more.
    l : int, default 1
        Fewest values of each sensitive column in a class.
    sensitive : str or sequence of str
        Sensitive columns, as for `anonymity`.
    suppress : float, default 0
        Largest share of the rows that may be left out, from 0 to below 1.
    customer : str, optional
        Column that names the customer; it is checked that nobody has two rows.

    Returns
    -------
    Generalised
        Of equal losses the one that suppresses fewer rows, then the one that climbs fewer steps.

    Raises
    ------
    ContractError
        If the input is none of the above, a step does not fit its column or splits what a finer step merged, there are
        more than 20,000 combinations, or no combination is enough.

    References
    ----------
    LeFevre, K., DeWitt, D. J. & Ramakrishnan, R. (2005). Incognito: efficient full-domain k-anonymity. *SIGMOD*.
    Iyengar, V. S. (2002). Transforming data to satisfy privacy constraints. *KDD*, for the loss.

    Examples
    --------
    >>> people = pd.DataFrame({"age": [21, 24, 28, 23, 38, 39, 52], "region": list("NNSSNNS")})
    >>> found = generalise(people, {"age": [10, 30], "region": []}, k=2, suppress=0.2)
    >>> print(found)
    Generalised: 6 of 7 rows, k = 2
      age                  bands of 10
      region               as it was
      suppressed           1 rows (14.3%)
      information loss     0.310 (least of 6 combinations that are enough, 8 tried)
    >>> found.table["age"].tolist()
    ['20-29', '20-29', '20-29', '20-29', '30-39', '30-39']
    """
    if not isinstance(ladders, Mapping) or not all(isinstance(steps, list | tuple) for steps in ladders.values()):
        raise ContractError("ladders must map each column to a list of steps, e.g. {'age': [5, 10], 'region': []}")
    quasi, secret = checked_columns("generalise", table, list(ladders), sensitive, customer)
    _check_wishes(table, k, l, secret, suppress)
    steps = {name: [None, *ladders[name], TOP] for name in quasi}
    number = int(np.prod([len(one) for one in steps.values()], dtype=float))
    if number > _MOST_NODES:
        raise ContractError(
            f"generalise would have to try {number:,} combinations of levels, more than {_MOST_NODES:,}: take fewer "
            "columns, or shorter ladders"
        )
    coded = {
        name: [class_numbers(recoded(table[name], step).to_frame(), [name]) for step in steps[name]] for name in quasi
    }
    for name in quasi:
        _check_nested(name, steps[name], coded[name])
    losses = {name: [_loss(coded[name][0], codes) for codes in coded[name]] for name in quasi}
    secrets = [class_numbers(table, [name]) for name in secret]
    rows, fine = [], {}
    for levels in product(*(range(len(one)) for one in steps.values())):
        group = _combined([coded[name][level] for name, level in zip(quasi, levels, strict=True)])
        enough = _keeps(group, secrets, k, l)
        each = np.mean([losses[name][level] for name, level in zip(quasi, levels, strict=True)], axis=0)
        out = int((~enough).sum())
        rows.append((*levels, len(np.unique(group[enough])), out, float(np.where(enough, each, 1.0).mean())))
        fine[levels] = out <= suppress * len(table) + 1e-9 and out < len(table)
    nodes = pd.DataFrame(rows, columns=[*quasi, "classes", "suppressed", "loss"])
    nodes["enough"] = list(fine.values())
    nodes["minimal"] = [ok and not any(fine.get(below) for below in _below(levels)) for levels, ok in fine.items()]
    if not nodes["enough"].any():
        raise _impossible(len(table), k, l, secret, secrets)
    best = (
        nodes[nodes["enough"]]
        .assign(loss=lambda t: t["loss"].round(12), height=lambda t: t[quasi].sum(axis=1))
        .sort_values(["loss", "suppressed", "height", *quasi])
        .iloc[0]
    )
    chosen = {name: steps[name][int(best[name])] for name in quasi}
    group = _combined([coded[name][int(best[name])] for name in quasi])
    kept = pd.Series(_keeps(group, secrets, k, l), index=table.index, name="kept")
    coarse = pd.DataFrame({name: recoded(table[name], chosen[name]) for name in quasi}, index=table.index)
    released = pd.concat([coarse, table[secret]], axis=1)[kept.to_numpy()]
    released = released.sort_values([*quasi, *secret], key=lambda one: one.astype(str), ignore_index=True)
    return Generalised(released, kept, chosen, float(best["loss"]), nodes, anonymity(released, quasi, sensitive=secret))


def recoded(values: pd.Series, step: Any) -> pd.Series:
    """A column after one step; missing values stay missing, except at the top."""
    if step is None:
        return values
    if isinstance(step, str) and step == TOP:
        return pd.Series(TOP, index=values.index, name=values.name)
    if isinstance(step, str):
        return _periods(values, step)
    if isinstance(step, Mapping):
        unknown = values.dropna()[~values.dropna().isin(list(step))]
        if len(unknown):
            first = ", ".join(map(repr, unknown.unique()[:3]))
            raise ContractError(
                f"the mapping for column {values.name!r} does not know {len(unknown):,} values ({first})"
            )
        return values.astype(object).map(dict(step))
    if callable(step):
        found = step(values)
        if not isinstance(found, pd.Series) or not found.index.equals(values.index):
            raise ContractError(f"the function for column {values.name!r} must return a Series with the same index")
        return found
    return _bands(values, step)


def _bands(values: pd.Series, width: Any) -> pd.Series:
    number = isinstance(width, int | float | np.number) and not isinstance(width, bool)
    if not number or not np.isfinite(width) or width <= 0:
        raise ContractError(
            f"{width!r} is no step for column {values.name!r}: give a width above 0, {', '.join(_PERIODS)}, a mapping "
            "or a function"
        )
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        raise ContractError(f"column {values.name!r} holds no numbers, so that it has no bands of {width:g}")
    raw = values.to_numpy("float64", na_value=np.nan)
    if np.isinf(raw).any():
        raise ContractError(f"column {values.name!r} is infinite in {int(np.isinf(raw).sum()):,} rows")
    known = raw[~np.isnan(raw)]
    if (np.abs(known) > 2**53).any():
        raise ContractError(f"column {values.name!r} holds numbers beyond 2**53, as ids do: they have no bands")
    place = np.floor(raw / width + 1e-9)  # 0.3 / 0.1 is a little below 3
    whole = width % 1 == 0 and bool((known % 1 == 0).all())
    words = {one: _band(one * width, width, whole) for one in np.unique(place[~np.isnan(place)])}
    return pd.Series([words.get(one) for one in place], index=values.index, name=values.name)


def _band(low: float, width: float, whole: bool) -> str:
    if not whole:
        return f"{low:.12g} to <{low + width:.12g}"
    last = int(low + width) - 1
    return f"{int(low)}-{last}" if low >= 0 else f"{int(low)} to {last}"


def _periods(values: pd.Series, step: str) -> pd.Series:
    if step not in _PERIODS:
        raise ContractError(f"{step!r} is no step for column {values.name!r}: dates are cut by {', '.join(_PERIODS)}")
    if not pd.api.types.is_datetime64_any_dtype(values):
        raise ContractError(f"column {values.name!r} holds no dates ({values.dtype}), so that it has no {step}")
    naive = values.dt.tz_localize(None) if values.dt.tz is not None else values
    return naive.dt.to_period(_PERIODS[step]).astype(str).where(values.notna(), None)


def _word(step: Any) -> str:
    if isinstance(step, Mapping):
        return f"{len(set(step.values()))} groups"
    if callable(step):
        return getattr(step, "__name__", "a function")
    return step if isinstance(step, str) else f"bands of {step:.12g}"


def _check_wishes(table: pd.DataFrame, k: int, l: int, secret: list[str], suppress: float) -> None:  # noqa: E741
    problems = [
        f"{name} must be a whole number of 1 or more, got {value!r}"
        for name, value in (("k", k), ("l", l))
        if isinstance(value, bool) or not hasattr(value, "__index__") or value < 1
    ]
    if not isinstance(suppress, int | float | np.number) or not 0 <= suppress < 1:
        problems.append(f"suppress must be a share from 0 to below 1, got {suppress!r}")
    if not problems and l > 1 and not secret:
        problems.append(f"l = {l} needs the name of a sensitive column")
    if not problems and k > len(table):
        problems.append(f"k = {k} is more than the {len(table):,} rows")
    if problems:
        raise ContractError("generalise cannot work with these wishes", problems)


def _check_nested(name: str, steps: list[Any], coded: list[Ints]) -> None:
    for level in range(1, len(coded)):
        pairs = len(np.unique(np.column_stack([coded[level - 1], coded[level]]), axis=0))
        if pairs > len(np.unique(coded[level - 1])):
            raise ContractError(
                f"the ladder of column {name!r} is not nested: step {level} ({_word(steps[level])}) splits values that "
                "the step before it merged; order the steps from fine to coarse, each made of whole groups of the last"
            )


def _loss(fine: Ints, coarse: Ints) -> npt.NDArray[np.float64]:
    """For each row the values merged with its own, over all the others."""
    pairs = np.unique(np.column_stack([fine, coarse]), axis=0)
    merged = np.bincount(pairs[:, 1])[coarse] - 1
    return np.asarray(merged / max(int(fine.max()), 1), dtype="float64")


def _combined(codes: Sequence[Ints]) -> Ints:
    group = codes[0]
    for one in codes[1:]:
        group = np.unique(group * (int(one.max()) + 1) + one, return_inverse=True)[1]
    return group


def _keeps(group: Ints, secrets: Sequence[Ints], k: int, l: int) -> npt.NDArray[np.bool_]:  # noqa: E741
    fine = np.bincount(group) >= k
    for secret in secrets:
        pairs = np.unique(group * (int(secret.max()) + 1) + secret) // (int(secret.max()) + 1)
        fine &= np.bincount(pairs, minlength=len(fine)) >= l
    return np.asarray(fine[group], dtype=bool)


def _below(levels: tuple[int, ...]) -> list[tuple[int, ...]]:
    return [(*levels[:i], level - 1, *levels[i + 1 :]) for i, level in enumerate(levels) if level > 0]


def _impossible(rows: int, k: int, l: int, secret: list[str], secrets: Sequence[Ints]) -> ContractError:  # noqa: E741
    problems = [
        f"{name!r} has {int(codes.max()) + 1} values in the whole table, fewer than l = {l}"
        for name, codes in zip(secret, secrets, strict=True)
        if int(codes.max()) + 1 < l
    ]
    return ContractError(f"no table of these {rows:,} rows can keep k = {k} and l = {l}", problems)
