"""When silence means gone: by hand, laws on random data, and a simulated truth."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmlab.database import customer_summary
from crmlab.datasets.company import simulate
from crmlab.errors import ContractError
from crmlab.models import BetaGeoNBD
from crmlab.relationship import choose_hiatus, gone_errors


def log(*rows):
    table = pd.DataFrame(list(rows), columns=["customer_id", "date"])
    return table.assign(date=pd.to_datetime(table["date"], format="ISO8601"))


ORDERS = log(
    ("a", "2024-01-01 09:00"),
    ("a", "2024-01-01 18:00"),
    ("a", "2024-01-11"),
    ("a", "2024-03-01"),
    ("b", "2024-02-01"),
    ("b", "2024-02-05"),
    ("c", "2024-02-01"),
)


def test_gaps_by_hand():
    found = choose_hiatus(ORDERS, until="2024-02-20", share=0.5)
    assert sorted(found.gaps) == [4, 10]  # two rows of one day are one purchase; March is not known yet
    assert (found.days, found.without_gap) == (4.0, 1)
    assert choose_hiatus(ORDERS, until="2024-03-01", share=0.9).days == 10
    assert "1 customers bought on one day only" in repr(found)


def test_errors_by_hand():
    found = gone_errors([5, 40, 90, 100, 200], [1, 1, 1, 0, 0], [30, 95]).table
    assert found["first_kind"].tolist() == pytest.approx([2 / 3, 0])
    assert found["second_kind"].tolist() == [0, 0]
    assert found["called_gone"].tolist() == [0.8, 0.4]
    assert found["wrong"].tolist() == [0.4, 0]
    assert found["gone_right"].tolist() == [0.5, 1]


@given(st.lists(st.tuples(st.integers(0, 50), st.booleans()), min_size=4, max_size=60))
@settings(max_examples=20, deadline=None)
def test_a_longer_hiatus_trades_one_error_for_the_other(rows):
    score, back = (np.array(one) for one in zip(*rows, strict=True))
    if len(set(score)) < 2 or len(set(back)) < 2:
        return
    table = gone_errors(score, back, np.arange(-1, 52)).table
    assert (table["first_kind"].diff().dropna() <= 0).all()
    assert (table["second_kind"].diff().dropna() >= 0).all()
    assert (table["first_kind"].iloc[0], table["second_kind"].iloc[0]) == (1, 0)
    assert (table["first_kind"].iloc[-1], table["second_kind"].iloc[-1]) == (0, 1)
    wrong = table["first_kind"] * back.mean() + table["second_kind"] * (1 - back.mean())
    assert np.allclose(wrong, table["wrong"])


def test_bg_nbd_calls_nobody_gone_who_never_came_back():
    """Why P(alive) is no label: without repeat purchases it is 1, while the truth knows most of them as gone."""
    firm = simulate(1_500, seed=4, years=2, scenario="textbook")
    end = firm["orders"]["date"].max().normalize()
    summary = customer_summary(firm["orders"], time_unit="week", observation_end=end)
    alive = BetaGeoNBD(summary).fit().probability_alive()
    once = summary.to_pandas().set_index("customer_id")["frequency"] == 0
    left = firm.truth["customers"].set_index("customer_id")["left_on"].notna().reindex(once.index)
    assert (alive[once.to_numpy()] == 1).all()
    assert left[once].mean() > 0.2


def test_refusals():
    with pytest.raises(ContractError, match="nobody bought on two days"):
        choose_hiatus(ORDERS.drop_duplicates("customer_id"), until="2024-03-01")
    with pytest.raises(ContractError, match="nobody bought on two days"):
        choose_hiatus(ORDERS.iloc[:0], until="2024-03-01")
    with pytest.raises(ContractError, match="strictly between 0 and 1"):
        choose_hiatus(ORDERS, until="2024-03-01", share=1.0)
    with pytest.raises(ContractError, match="no date in 1 rows"):
        choose_hiatus(pd.DataFrame({"customer_id": [1], "date": [None]}), until="2024-03-01")
    with pytest.raises(ContractError, match="'customer_id'"):
        choose_hiatus(ORDERS[["date"]], until="2024-03-01")
    bad: dict[str, Any] = {
        "no row": ([], [], [1]),
        "same length": ([1, 2], [1], [1]),
        "score: not a finite number": ([1, np.nan], [1, 0], [1]),
        "nobody did": ([1, 2], [0, 0], [1]),
        "everybody did": ([1, 2], [1, 1], [1]),
        "neither 0 nor 1": ([1, 2], [1, 3], [1]),
        "all customers have the same": ([1, 1], [1, 0], [1]),
        "finite numbers": ([1, 2], [1, 0], [np.nan]),
        "same index": (pd.Series([1, 2]), pd.Series([1, 0], index=[5, 6]), [1]),
    }
    for words, (score, back, limits) in bad.items():
        with pytest.raises(ContractError, match=words):
            gone_errors(score, back, limits)


def test_limits_are_one_list_and_dates_are_dates():
    with pytest.raises(ContractError, match="limits: give one or more"):
        gone_errors([1, 2, 3], [0, 1, 0], [[1, 2]])
    with pytest.raises(ContractError, match="date: no date"):
        choose_hiatus(pd.DataFrame({"customer_id": [1, 1], "date": [20240101, 20240201]}), until="2024-03-01")
