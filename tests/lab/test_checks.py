"""Exercises: any correct way is right, and no answer, however strange, raises anything."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmlab.errors import LabError
from crmlab.lab import check, checker, close, judge, same_set, same_table
from crmlab.lab.checks import CHECK_MIME

RIGHT = pd.DataFrame({"segment": ["a", "b", "c"], "customers": [10, 20, 30], "share": [1 / 6, 1 / 3, 0.5]})

STRANGE: list[Any] = [
    float("nan"), float("inf"), pd.NA, pd.NaT, "0.5", "", b"x", [], [1, 2], {}, {"a": 1}, set(), object(), int, print,
    True, np.bool_(False), np.array([]), np.array([[1, 2]]), pd.Series([1, 2]), pd.DataFrame(), iter([1]), lambda: 1,
    pd.DataFrame({"a": [1]}), pd.Timestamp("2020-01-01"), 1j, 10**400, RIGHT.to_numpy(), RIGHT.iloc[:1], "segment",
    [[1], [2]], [None], pd.Series([None, "x"]),
]  # fmt: skip


@checker("1.1", expects="a share between 0 and 1")
def _share(answer: Any) -> str | None:
    return close(answer, 0.25, rel=1e-3, hint="divide by all customers")


@checker("1.2")
def _segments(answer: Any) -> list[str | None]:
    return [
        same_set(answer["segment"], RIGHT["segment"], hint="one a segment"),
        same_table(answer, RIGHT, hint="count each"),
    ]


def test_a_right_answer_in_any_numeric_form() -> None:
    forms = [0.25, np.float64(0.25), np.float32(0.25), Decimal("0.25"), Fraction(1, 4), np.array(0.25), [0.25],
             pd.Series([0.25]), pd.DataFrame({"x": [0.25]}), 0.2500001]  # fmt: skip
    assert [judge("1.1", form).right for form in forms] == [True] * len(forms)


def test_a_wrong_answer_gets_the_hint() -> None:
    assert str(judge("1.1", 0.3)) == "1.1: not yet - divide by all customers"
    assert "a factor of 100 away" in judge("1.1", 25).hint
    assert "a factor of 100 away" in judge("1.1", 0.0025).hint


@pytest.mark.parametrize("nothing", [None, ...])
def test_no_answer_is_not_a_wrong_one(nothing: Any) -> None:
    result = judge("1.1", nothing)
    assert (result.right, result.answered) == (False, False)
    assert str(result) == "1.1: not answered yet - a share between 0 and 1 is expected"
    assert str(judge("1.2", nothing)) == "1.2: not answered yet"


@pytest.mark.parametrize("answer", STRANGE, ids=lambda one: type(one).__name__)
def test_a_strange_answer_gets_a_hint_and_no_traceback(answer: Any) -> None:
    for id in ("1.1", "1.2"):
        result = judge(id, answer)
        assert not result.right
        assert result.hint


def test_a_hint_about_the_form_says_what_is_expected() -> None:
    assert judge("1.1", "0.25").hint == "one number is expected, not the text '0.25'"
    assert judge("1.1", True).hint == "one number is expected, not True"
    assert judge("1.1", [1, 2]).hint == "one number is expected, not a value of type list, of length 2"
    assert judge("1.1", float("nan")).hint.startswith("one number is expected, not nan - a division by zero")
    hint = judge("1.2", 5).hint
    assert hint.startswith("an answer of type int cannot be read here (TypeError")


def test_several_hints_are_joined() -> None:
    answer = RIGHT.assign(segment=["a", "b", "d"])
    assert judge("1.2", answer).hint == (
        "1 missing, 1 that do not belong: one a segment; values differ in 'segment': count each"
    )
    assert judge("1.2", RIGHT).right


def test_check_shows_the_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    check("1.1", 0.25)
    check("1.1", 1)
    assert capsys.readouterr().out == "1.1: right\n1.1: not yet - divide by all customers\n"


def test_a_verdict_has_three_forms() -> None:
    bundle = judge("1.1", "<b>")._repr_mimebundle_()
    assert bundle[CHECK_MIME] == {
        "id": "1.1", "right": False, "answered": True, "hint": "one number is expected, not the text '<b>'",
    }  # fmt: skip
    assert bundle["text/plain"] == "1.1: not yet - one number is expected, not the text '<b>'"
    assert "<b>" not in bundle["text/html"]
    assert "right" in judge("1.1", 0.25)._repr_mimebundle_()["text/html"]


def test_a_missing_or_faulty_checker_is_the_authors_error() -> None:
    with pytest.raises(LabError, match=r"no checker for exercise '9\.9'"):
        check("9.9", 1)
    checker("1.9")(lambda answer: True)  # type: ignore[arg-type, return-value]
    with pytest.raises(LabError, match=r"the checker of '1\.9' returned True"):
        check("1.9", 1)


def test_a_checker_can_be_replaced() -> None:
    checker("1.8")(lambda answer: "no")
    assert not judge("1.8", 1).right
    checker("1.8")(lambda answer: None)
    assert judge("1.8", 1).right


@given(st.floats(-1e9, 1e9), st.floats(1e-9, 0.1))
def test_close_accepts_within_and_refuses_beyond_the_tolerance(expected: float, rel: float) -> None:
    slack = rel * abs(expected)
    assert close(expected + 0.99 * slack, expected, rel=rel, hint="h") is None
    assert close(expected + 2 * slack + 1e-6, expected, rel=rel, hint="h") is not None


def test_close_with_an_absolute_tolerance() -> None:
    assert close(0.004, 0, abs=0.005, hint="h") is None
    assert close(0.006, 0, abs=0.005, hint="h") == "h"
    assert (
        close([], 1, hint="h", unit="weeks")
        == "one number is expected (in weeks), not a value of type list, of length 0"
    )


def test_sets_compare_by_value() -> None:
    ids = [3, 1, 2]
    for form in (
        ids,
        tuple(ids),
        set(ids),
        np.array(ids),
        pd.Series(ids),
        pd.Index(ids),
        [1.0, 2.0, 3.0],
        [1, 1, 2, 3],
    ):
        assert same_set(form, ids, hint="h") is None
    assert same_set([1, 2, 4, 5], ids, hint="h") == "1 missing, 2 that do not belong: h"
    assert same_set(["1", "2", "3"], ids, hint="h") == "the elements are right but of another type, str instead of int"
    assert same_set([np.nan, 1], [None, 1], hint="h") is None
    expected = "a list or set of elements is expected"
    assert same_set("123", ids, hint="h") == f"{expected}, not the text '123'"
    assert same_set(RIGHT, ids, hint="h") == f"{expected}, not a table of 3 rows and 3 columns"
    assert same_set(5, ids, hint="h") == f"{expected}, not a value of type int"


@given(st.permutations(list(RIGHT.index)), st.permutations(list(RIGHT.columns)))
def test_the_order_of_rows_and_columns_does_not_matter(rows: list[int], columns: list[str]) -> None:
    assert same_table(RIGHT.loc[rows, columns], RIGHT, hint="h") is None


def test_tables_compare_by_value() -> None:
    same = [
        RIGHT.set_index("segment"),
        RIGHT.astype({"customers": float, "segment": object}),
        RIGHT.astype({"customers": "int8", "segment": "category"}),
        RIGHT.assign(share=RIGHT["share"] * (1 + 1e-9)),
        RIGHT.set_index(pd.Index([7, 5, 6])),
    ]
    for form in same:
        assert same_table(form, RIGHT, hint="h") is None
    grouped = RIGHT.groupby("segment")["customers"].sum()
    assert same_table(grouped, RIGHT[["customers", "segment"]], hint="h") is None
    missing = RIGHT.assign(share=[np.nan, 0.5, 1.0])
    assert same_table(missing.iloc[::-1], missing, hint="h") is None


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (RIGHT.assign(customers=[10, 20, 31]), "values differ in 'customers': h"),
        (RIGHT.assign(customers=[10, 20, 31], share=[0, 0, 1]), "values differ in 'customers', 'share': h"),
        (RIGHT.iloc[:2], "3 rows are expected, not 2: h"),
        (RIGHT.drop(columns="share"), "the columns should be segment, customers, share; the answer is without share"),
        (
            RIGHT.rename(columns={"share": "Share"}),
            "the columns should be segment, customers, share; the answer is without share and with Share",
        ),
        (RIGHT.assign(share=None), "values differ in 'share': h"),
        (RIGHT.assign(share=np.inf), "values differ in 'share': h"),
        (RIGHT.assign(customers=["10", "20", "30"]), "values differ in 'customers': h"),
        ([1, 2], "a table is expected, not a value of type list, of length 2"),
    ],
)
def test_a_table_that_differs_is_told_where(answer: Any, hint: str) -> None:
    assert same_table(answer, RIGHT, hint="h") == hint
