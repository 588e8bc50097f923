"""Exercises that answer back: a checker registered beside the exercise, and the check a student runs.

A checker recomputes what it needs from the data in the notebook, so it holds for every parameter, and judges the
property asked for rather than the way taken: any correct way is right. A wrong answer, whatever its form, is told with
a hint and never with a traceback.
"""

import math
import warnings
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import partial
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from crmlab.errors import LabError
from crmlab.lab.notebook import show

CHECK_MIME = "application/vnd.crmlab.check+json"

Verdict = str | Iterable[str | None] | None
Checker = Callable[[Any], Verdict]

_CHECKERS: dict[str, tuple[Checker, str]] = {}


@dataclass(frozen=True)
class CheckResult:
    """What `check` found.

    Attributes
    ----------
    id : str
        Id of the exercise, such as ``"12.2"``.
    right, answered : bool
        Whether the answer is right, and whether there was one at all.
    hint : str
        What to think about; empty if the answer is right.
    """

    id: str
    right: bool
    answered: bool = True
    hint: str = ""

    def __str__(self) -> str:
        verdict = "right" if self.right else "not yet" if self.answered else "not answered yet"
        return f"{self.id}: {verdict}{' - ' + self.hint if self.hint else ''}"

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        colour, mark = ("#0f7b0f", "&#10003;") if self.right else ("#b35900", "&#8230;")
        return {
            CHECK_MIME: asdict(self),
            "text/html": f'<span style="color: {colour}">{mark} {escape(str(self))}</span>',
            "text/plain": str(self),
        }


def checker(id: str, *, expects: str = "") -> Callable[[Checker], Checker]:
    """Register the function that judges the answers to one exercise.

    Parameters
    ----------
    id : str
        Id of the exercise, such as ``"12.2"``.
    expects : str, optional
        The form of an answer, such as ``"a share between 0 and 1"``; shown to who has not answered yet, or whose answer
        the function cannot read.

    Returns
    -------
    decorator
        It returns the function unchanged. The function takes the answer and returns None if it is right, a hint if it
        is not, or several of these, as `close`, `same_set` and `same_table` give them.

    Examples
    --------
    >>> from crmlab.lab import check, checker, close
    >>> @checker("0.1", expects="a number of customers")
    ... def customers(answer):
    ...     return close(answer, 23_570, hint="count customers, not rows")
    >>> check("0.1", 69_659)
    0.1: not yet - count customers, not rows
    >>> check("0.1", 23_570.0)
    0.1: right
    >>> check("0.1", None)
    0.1: not answered yet - a number of customers is expected
    """

    def register(function: Checker) -> Checker:
        _CHECKERS[id] = (function, expects)
        return function

    return register


def check(id: str, answer: object) -> None:
    """Judge an answer and show the verdict: right, or not yet with a hint.

    Parameters
    ----------
    id : str
        Id of the exercise, such as ``"12.2"``.
    answer : object
        The answer. ``None`` and ``...`` mean that there is none yet.

    Raises
    ------
    LabError
        If no checker is registered for `id`, or it returns no verdict. No answer raises anything.
    """
    show(judge(id, answer)._repr_mimebundle_())


def judge(id: str, answer: object) -> CheckResult:
    """The verdict that `check` shows, as an object.

    Examples
    --------
    >>> from crmlab.lab import checker, close, judge
    >>> @checker("0.2")
    ... def share(answer):
    ...     return close(answer, 0.55, rel=0.01, hint="sort by amount first")
    >>> judge("0.2", 0.552).right
    True
    >>> judge("0.2", 55.2).hint
    'sort by amount first (a factor of 100 away: is it a share or a percentage?)'
    """
    if id not in _CHECKERS:
        known = ", ".join(_CHECKERS) or "none so far"
        raise LabError(f"no checker for exercise {id!r} (registered: {known}); run the cells above this one first")
    function, expects = _CHECKERS[id]
    form = f"{expects} is expected" if expects else ""
    if answer is None or answer is Ellipsis:
        return CheckResult(id, right=False, answered=False, hint=form)
    try:
        verdict = function(answer)
    except Exception as error:  # whatever a student hands in must end in a hint
        reason = f"an answer of type {type(answer).__name__} cannot be read here ({type(error).__name__}: {error})"
        return CheckResult(id, right=False, hint="; ".join(filter(None, [reason, form])))
    hints = _hints(id, verdict)
    return CheckResult(id, right=not hints, hint="; ".join(hints))


def _hints(id: str, verdict: object) -> list[str]:
    several = verdict if isinstance(verdict, list | tuple) else [verdict]
    hints = [one for one in several if isinstance(one, str)]
    if len(hints) + sum(one is None for one in several) != len(several):
        raise LabError(f"the checker of {id!r} returned {verdict!r}; it must return None, a hint or a list of these")
    return hints


def close(
    answer: Any, expected: float, *, rel: float = 1e-6, abs: float = 0.0, hint: str, unit: str = ""
) -> str | None:
    """Compare a number with the expected one.

    Parameters
    ----------
    answer : object
        What the student gave: any number of Python, NumPy or pandas, or a container of exactly one.
    expected : float
        The right value.
    rel, abs : float, default 1e-6 and 0
        The answer may be off by the larger of `abs` and `rel` times the size of `expected`.
    hint : str
        Said if the number is wrong.
    unit : str, optional
        Named when the answer is no number.

    Returns
    -------
    str or None
        None if the answer is right, else why it is not.

    Examples
    --------
    >>> close(0.5500000001, 0.55, hint="top 20 %") is None
    True
    >>> close([1, 2], 0.55, hint="top 20 %", unit="weeks")
    'one number is expected (in weeks), not a value of type list, of length 2'
    """
    number = _number(answer)
    expectation = f"one number is expected{f' (in {unit})' if unit else ''}"
    if number is None:
        return f"{expectation}, not {_describe(answer)}"
    if not np.isfinite(number):
        return f"{expectation}, not {number} - a division by zero, or missing values?"
    slack = max(rel * np.abs(expected), abs)
    if np.abs(number - expected) <= slack:
        return None
    for factor in (100, 0.01):
        if expected != 0 and np.abs(number - factor * expected) <= factor * slack:
            return f"{hint} (a factor of 100 away: is it a share or a percentage?)"
    return hint


def same_set(answer: Any, expected: Any, *, hint: str) -> str | None:
    """Compare a collection with the expected one; order and repetitions do not matter.

    Parameters
    ----------
    answer, expected : list, tuple, set, array, Series or Index
        The collections.
    hint : str
        Said if they differ, after how many elements are missing or too many.

    Examples
    --------
    >>> same_set([3, 1, 2], {1, 2, 3}, hint="the best cell") is None
    True
    >>> same_set([1, 2, 9], [1, 2, 3], hint="the best cell")
    '1 missing, 1 that do not belong: the best cell'
    """
    if isinstance(answer, str | bytes | dict | pd.DataFrame) or not hasattr(answer, "__iter__"):
        return f"a list or set of elements is expected, not {_describe(answer)}"
    given, right = _elements(answer), _elements(expected)
    if given == right:
        return None
    if {str(one) for one in given} == {str(one) for one in right}:
        return f"the elements are right but of another type, {_kind(given)} instead of {_kind(right)}"
    return f"{len(right - given)} missing, {len(given - right)} that do not belong: {hint}"


def same_table(answer: Any, expected: pd.DataFrame | pd.Series, *, rel: float = 1e-6, hint: str) -> str | None:
    """Compare a table with the expected one; the order of rows and columns does not matter.

    An index that is more than row numbers counts as columns, so the result of a ``groupby`` and the same with
    ``reset_index()`` are equal.

    Parameters
    ----------
    answer : DataFrame, Series or ibis table
        What the student gave.
    expected : DataFrame or Series
        The right table.
    rel : float, default 1e-6
        Relative tolerance of floating-point columns.
    hint : str
        Said if values differ, after the names of the columns where they do.

    Examples
    --------
    >>> right = pd.DataFrame({"segment": ["a", "b"], "customers": [10, 20]})
    >>> same_table(right[["customers", "segment"]].iloc[::-1], right, hint="count customers") is None
    True
    >>> same_table(right.assign(customers=[10, 21]), right, hint="count customers")
    "values differ in 'customers': count customers"
    """
    given, right = _flat(answer), _flat(expected)
    if given is None or right is None:
        return f"a table is expected, not {_describe(answer)}"
    missing = [str(one) for one in right.columns if one not in given.columns]
    extra = [str(one) for one in given.columns if one not in right.columns]
    if missing or extra:
        wrong = [f"without {', '.join(missing)}"] * bool(missing) + [f"with {', '.join(extra)}"] * bool(extra)
        return f"the columns should be {', '.join(map(str, right.columns))}; the answer is {' and '.join(wrong)}"
    if len(given) != len(right):
        return f"{len(right):,} rows are expected, not {len(given):,}: {hint}"
    columns = list(right.columns)
    # in an order that depends on values only: exact columns first, floating-point ones last
    by = [*right.select_dtypes(exclude=np.floating), *right.select_dtypes(np.floating)]
    given, right = (one[by].astype(object).map(_key).sort_values(by) for one in (given, right))
    differing = [repr(name) for name in columns if not all(map(partial(_equal, rel), given[name], right[name]))]
    return f"values differ in {', '.join(differing)}: {hint}" if differing else None


def _number(answer: Any) -> float | None:
    """`answer` as a float, or None if it is not exactly one number."""
    if isinstance(answer, str | bytes | dict):
        return None
    values = np.asarray(answer, dtype=object).ravel()
    if values.size != 1 or isinstance(values[0], bool | np.bool_ | str | bytes):
        return None
    if values[0] is pd.NA:
        return float("nan")
    try:
        return float(values[0])
    except (TypeError, ValueError, OverflowError):
        return None


def _describe(answer: Any) -> str:
    if isinstance(answer, bool | np.bool_):
        return str(answer)
    if isinstance(answer, str):
        return f"the text {answer[:40]!r}"
    if isinstance(answer, pd.DataFrame):
        return f"a table of {answer.shape[0]:,} rows and {answer.shape[1]} columns"
    length = f", of length {len(answer):,}" if hasattr(answer, "__len__") and np.ndim(answer) else ""
    return f"a value of type {type(answer).__name__}{length}"


def _elements(values: Any) -> set[Any]:
    plain = (one.item() if isinstance(one, np.generic) else one for one in values)
    return {"(missing)" if one is None or (pd.api.types.is_scalar(one) and pd.isna(one)) else one for one in plain}


def _kind(elements: set[Any]) -> str:
    return ", ".join(sorted({type(one).__name__ for one in elements}))


def as_frame(table: Any) -> pd.DataFrame | None:
    """A DataFrame, Series or ibis table as a frame; None if it is none of these."""
    if isinstance(table, pd.Series):
        return table.to_frame()
    if not isinstance(table, pd.DataFrame) and hasattr(table, "to_pandas"):
        with warnings.catch_warnings():  # ibis asks pandas for an option that pandas will drop
            warnings.filterwarnings("ignore", message=".*future.infer_string")
            table = table.to_pandas()
    return table if isinstance(table, pd.DataFrame) else None


def _flat(table: Any) -> pd.DataFrame | None:
    """A frame whose index says nothing, or None if `table` is no table."""
    frame = as_frame(table)
    if frame is None:
        return None
    rows_only = frame.index.nlevels == 1 and frame.index.name is None and pd.api.types.is_integer_dtype(frame.index)
    return frame.reset_index(drop=rows_only)


def _key(value: Any) -> tuple[int, Any]:
    """A value as something that sorts and compares beside any other: numbers, then texts, then what is missing."""
    if pd.isna(value):
        return 2, ""
    return (0, float(value)) if isinstance(value, int | float | np.number) else (1, str(value))


def _equal(rel: float, given: tuple[int, Any], right: tuple[int, Any]) -> bool:
    both_numbers = given[0] == right[0] == 0
    return given == right or (both_numbers and math.isclose(given[1], right[1], rel_tol=rel))
