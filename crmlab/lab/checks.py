"""Exercises that answer back: a checker registered beside the exercise, and the check a student runs.

A checker recomputes what it needs from the data in the notebook, so it holds for every parameter, and judges the
property asked for rather than the way taken: any correct way is right. A wrong answer, whatever its form, is told with
a hint and never with a traceback.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

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
