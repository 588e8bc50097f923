"""RFM scores and ABC classes: the definition on small logs, the laws on random ones, and CDNOW."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmlab.database import abc_classes, rfm
from crmlab.errors import ContractError


def log(rows) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["customer_id", "date", "amount"])
    return frame.assign(date=pd.to_datetime(frame["date"]))


FOUR = log(
    [
        ("a", "2024-01-01", 1.0),
        ("b", "2024-01-10", 2.0),
        ("b", "2024-01-10", 2.0),
        ("c", "2024-01-20", 3.0),
        ("c", "2024-01-21", 6.0),
        ("c", "2024-01-22", -9.0),
        ("d", "2024-01-31", 10.0),
        ("d", "2024-01-30", 10.0),
        ("d", "2024-01-29", 10.0),
    ]
)


def test_measures_and_scores():
    result = rfm(FOUR, bins=2)
    assert result.table.to_dict("list") == {
        "customer_id": ["a", "b", "c", "d"],
        "days_since_last": [30, 21, 10, 0],
        "n_orders": [1, 1, 2, 3],
        "amount": [1.0, 4.0, 9.0, 30.0],
        "r": [1, 1, 2, 2],
        "f": [1, 1, 2, 2],
        "m": [1, 1, 2, 2],
        "cell": ["111", "111", "222", "222"],
    }
    assert result.breaks == {"days_since_last": (10.0,), "n_orders": (1.0,), "amount": (4.0,)}
    assert result.collapsed == ()
    assert dict(result.left_out) == {"rows of returns (negative amounts)": 1}


def test_cuts_tell_limits_and_customers():
    cuts = rfm(FOUR, bins=2).cuts
    assert cuts["score"].tolist() == [2, 1, 1, 2, 1, 2]
    assert cuts["up_to"].tolist() == [10.0, np.inf, 1.0, np.inf, 4.0, np.inf]
    assert cuts["above"].tolist() == [-np.inf, 10.0, -np.inf, 1.0, -np.inf, 4.0]
    assert cuts["customers"].tolist() == [2] * 6


def test_nested_quantiles_are_taken_within_cells():
    result = rfm(FOUR, bins=2, method="nested")
    assert result.table["cell"].tolist() == ["111", "112", "211", "221"]
    assert result.breaks == {}
    assert set(result.cuts["within"]) == {"", "r1", "r2", "r1 f1", "r2 f1", "r2 f2"}
    assert "n_orders within r1: no customer has score 2" in result.collapsed[0]
    assert "r among all, f within r" in repr(result)


def test_money_added_up_in_another_order_is_the_same_money():
    amounts = {"a": [0.1, 0.2, 0.3], "b": [0.3, 0.2, 0.1], "c": [0.6]}
    days = ["2024-01-01", "2024-01-02", "2024-01-03"]
    result = rfm(log([(who, day, x) for who, paid in amounts.items() for day, x in zip(days, paid, strict=False)]))
    assert result.table["amount"].tolist() == [0.6] * 3
    assert result.table["m"].nunique() == 1


def test_days_count_back_from_the_observation_end():
    assert rfm(FOUR, bins=2, observation_end="2024-02-10").table["days_since_last"].tolist() == [40, 31, 20, 10]
    assert rfm(FOUR, bins=2, observation_end="2024-01-10").table["customer_id"].tolist() == ["a", "b"]


def test_own_breaks_and_breaks_of_an_earlier_period():
    own = rfm(FOUR, breaks={"amount": [5, 10], "n_orders": (1,)}, bins=2)
    assert own.table["m"].tolist() == [1, 1, 2, 3]
    assert own.table["f"].tolist() == [1, 1, 2, 2]
    assert own.breaks["days_since_last"] == (10.0,)
    later = rfm(FOUR.assign(amount=FOUR["amount"] * 2), breaks=own.breaks)
    assert later.table["m"].tolist() == [1, 2, 3, 3]
    assert later.breaks == own.breaks


def test_half_of_cdnow_bought_on_one_day_so_the_frequency_quantiles_collapse(cdnow, published):
    result = rfm(cdnow)
    frequency = result.cuts[result.cuts["measure"] == "n_orders"].set_index("score")
    assert frequency.loc[1, "customers"] == published("RFM-002")
    assert frequency.loc[2, "customers"] == 0
    assert result.collapsed == ("n_orders: no customer has score 2, because too many share one value",)
    assert "collapsed" in repr(result)
    assert (result.table["f"] == 1).equals(result.table["n_orders"] == 1)
    assert len(rfm(cdnow, method="nested").collapsed) > 3
    assert "more, see .collapsed" in repr(rfm(cdnow, method="nested"))


def test_any_engine_gives_the_same(engine, sample):
    for method in ("independent", "nested"):
        pd.testing.assert_frame_equal(rfm(engine(sample), method=method).table, rfm(sample, method=method).table)


LOGS = st.lists(
    st.tuples(st.integers(1, 12), st.integers(0, 40), st.integers(0, 30).map(float)), min_size=1, max_size=60
).map(lambda rows: log([(c, pd.Timestamp("2024-01-01") + pd.Timedelta(days=d), a) for c, d, a in rows]))


@settings(max_examples=8, deadline=None)
@given(rows=LOGS, bins=st.integers(2, 9), seed=st.integers(0, 99))
def test_scores_rise_with_the_value_equal_values_score_equally_and_row_order_is_nothing(rows, bins, seed):
    result = rfm(rows, bins=bins)
    for measure, score, sign in (("days_since_last", "r", -1), ("n_orders", "f", 1), ("amount", "m", 1)):
        ordered = result.table.assign(good=sign * result.table[measure]).sort_values("good")
        assert ordered[score].is_monotonic_increasing
        assert ordered.groupby(measure)[score].nunique().max() == 1
        assert ordered[score].between(1, bins).all()
        at_most = [(result.table[measure] <= limit).mean() for limit in result.breaks[measure]]
        assert all(share >= k / bins - 1e-12 for k, share in enumerate(at_most, start=1))
    assert result.cuts.groupby("measure")["customers"].sum().eq(len(result.table)).all()
    pd.testing.assert_frame_equal(rfm(rows.sample(frac=1, random_state=seed), bins=bins).table, result.table)
    pd.testing.assert_frame_equal(rfm(rows, breaks=result.breaks).table, result.table)


def test_impossible_options_are_collected():
    breaks = {"spend": [1], "amount": [3, 2], "n_orders": []}
    with pytest.raises(ContractError) as caught:
        rfm(FOUR, bins=10, method="nestd", breaks=breaks)  # type: ignore[arg-type]
    assert caught.value.problems == (
        "bins must be 2 to 9 (a score is one digit); got 10",
        "method must be independent or nested; got 'nestd'",
        "breaks are for days_since_last, n_orders, amount; got 'spend'",
        "breaks of amount must be 1 to 8 rising numbers; got [3.0, 2.0]",
        "breaks of n_orders must be 1 to 8 rising numbers; got []",
    )
    with pytest.raises(ContractError, match="own breaks go with method='independent' only"):
        rfm(FOUR, method="nested", breaks={"amount": [2]})


def test_abc_fills_a_class_with_the_customer_who_crosses_the_line():
    classes = abc_classes(pd.Series({"a": 50.0, "b": 25.0, "c": 15.0, "d": 6.0, "e": 4.0, "f": 0.0}))
    assert classes.table["abc_class"].tolist() == ["A", "A", "A", "B", "C", "C"]
    assert classes.summary["share_value"].tolist() == pytest.approx([0.9, 0.06, 0.04])
    assert classes.summary["share_customers"].tolist() == pytest.approx([3 / 6, 1 / 6, 2 / 6])
    assert classes.summary["lowest"].tolist() == [15.0, 6.0, 0.0]
    assert "80%, 95% of the total" in repr(classes)


def test_abc_never_splits_equal_values_and_keeps_empty_classes():
    classes = abc_classes(pd.Series([1.0] * 10), shares=(0.2, 0.5), labels=("VIP", "key", "rest"))
    assert classes.summary["customers"].tolist() == [10, 0, 0]
    assert classes.summary["share_value"].tolist() == [1.0, 0.0, 0.0]


@settings(max_examples=50, deadline=None)
@given(
    values=st.lists(st.integers(0, 50), min_size=1, max_size=50).filter(any),
    share=st.floats(0.05, 0.9),
)
def test_abc_top_class_is_the_smallest_that_holds_its_share(values, share):
    classes = abc_classes(pd.Series(values, dtype=float), shares=(share,), labels=("A", "B"))
    top = classes.table[classes.table["abc_class"] == "A"]["value"]
    total = sum(values)
    assert top.sum() / total >= share - 1e-9
    assert (top.sum() - top[top == top.min()].sum()) / total < share + 1e-9
    assert classes.table.groupby("value")["abc_class"].nunique().max() == 1


def test_abc_of_an_rfm_table(cdnow):
    table = rfm(cdnow).table
    classes = abc_classes(table)
    assert classes.summary["customers"].sum() == 23570
    assert classes.summary["value"].sum() == pytest.approx(cdnow["amount"].sum())
    assert 0.8 <= classes.summary["share_value"][0] < 0.801


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (pd.Series({"a": -1.0, "b": 2.0}), "negative value: 1 customers (first: a)"),
        (pd.Series({"a": np.nan, "b": 2.0}), "value missing or not finite: 1 customers (first: a)"),
        (pd.Series([1.0, 2.0], index=["a", "a"]), "customer twice: 1 customers (first: a)"),
        (pd.Series({"a": 0.0}), "all values are zero, so nobody has a share of anything"),
    ],
)
def test_abc_refuses_values_that_have_no_shares(values, problem):
    with pytest.raises(ContractError) as caught:
        abc_classes(values)
    assert caught.value.problems == (problem,)


def test_abc_refuses_impossible_shares_and_frames():
    for shares, labels in (((0.9, 0.8), "ABC"), ((0.8,), "ABC"), ((0.8, 1.0), "ABC")):
        with pytest.raises(ContractError, match="shares must rise strictly between 0 and 1"):
            abc_classes(pd.Series([1.0, 2.0]), shares=shares, labels=tuple(labels))
    with pytest.raises(ContractError, match="'customer_id'"):
        abc_classes(pd.DataFrame({"amount": [1.0]}))
