"""Stable numbers, reversible merges, golden records."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmlab.datasets.company import simulate
from crmlab.errors import ContractError
from crmlab.onetoone import golden_records, link_records, match_arrivals, start_register
from crmlab.onetoone.identify import Linkage


def linkage_of(n: int, pairs: list[tuple[int, int, float]]) -> Linkage:
    """A linkage of records 0 to n - 1 with these pairs and probabilities."""
    nothing: Any = pd.DataFrame()
    table = pd.DataFrame(pairs, columns=["left", "right", "probability"]).assign(weight=lambda t: t["probability"])
    table = table.sort_values("weight", ascending=False, kind="stable", ignore_index=True)
    records = pd.DataFrame(index=pd.RangeIndex(n, name="record_id"))
    return Linkage(records, table, nothing, 0.1, nothing, (), {})


graphs = st.integers(2, 9).flatmap(
    lambda n: st.tuples(
        st.just(n),
        st.lists(
            st.tuples(st.integers(0, n - 1), st.integers(0, n - 1), st.sampled_from([0.2, 0.5, 0.7, 0.9])).filter(
                lambda pair: pair[0] != pair[1]
            ),
            max_size=14,
        ),
    )
)


@settings(deadline=None)
@given(graphs)
def test_a_register_starts_with_the_clusters(graph):
    linkage = linkage_of(*graph)
    register = start_register(linkage, 0.5)
    assert register.ids.to_list() == linkage.clusters(0.5).to_list()
    assert len(register.log) == graph[0] - register.ids.nunique()  # no link too many


@settings(deadline=None)
@given(graphs, st.data())
def test_taking_back_a_link_splits_one_person_in_two_and_nobody_else(graph, data):
    register = start_register(linkage_of(*graph), 0.5)
    if register.log.empty:
        return
    event = data.draw(st.sampled_from(list(register.log.index)))
    split = register.unmerge(event, "mistaken")
    assert split.ids.nunique() == register.ids.nunique() + 1
    left, right = register.log.loc[event, ["left", "right"]]
    assert split.ids[left] != split.ids[right]
    apart = register.ids != register.ids[left]
    pd.testing.assert_series_equal(split.ids[apart], register.ids[apart])
    assert set(register.ids) < set(split.ids)  # the older half keeps the number
    assert register.log["undone"].isna().all()  # the first register is as it was


@settings(deadline=None)
@given(graphs, st.data())
def test_a_decision_and_its_reversal_give_the_same_numbers(graph, data):
    register = start_register(linkage_of(*graph), 0.5)
    numbers = sorted(set(register.ids))
    if len(numbers) < 2:
        return
    one, other = data.draw(st.lists(st.sampled_from(numbers), min_size=2, max_size=2, unique=True))
    joined = register.merge(one, other, "the customer said so")
    assert joined.ids.nunique() == len(numbers) - 1
    assert min(one, other) in set(joined.ids)
    back = joined.unmerge(joined.log.index[-1], "the customer was wrong")
    pd.testing.assert_series_equal(back.ids, register.ids)
    assert back.log["undone"].iloc[-1] == "the customer was wrong"


@settings(deadline=None)
@given(graphs)
def test_arrivals_never_change_a_number_in_use(graph):
    n, pairs = graph
    known = max(n // 2, 1)
    start = start_register(linkage_of(known, [p for p in pairs if max(p[:2]) < known]), 0.5)
    later = start.arrive(linkage_of(n, pairs), 0.5) if n > known else start
    pd.testing.assert_series_equal(later.ids.iloc[:known], start.ids)
    for record in range(known, n):
        mine = [(p, min(a, b)) for a, b, p in pairs if max(a, b) == record and p >= 0.5]
        founded = later.ids[record] == record
        assert founded == (not mine)
        if mine:
            best = max(p for p, _ in mine)
            assert later.ids[record] in {later.ids[other] for p, other in mine if p == best}


def test_an_arrival_between_two_persons_asks_for_a_review():
    start = start_register(linkage_of(4, [(0, 1, 0.9)]), 0.5)
    pairs = [(0, 1, 0.9), (1, 4, 0.95), (2, 4, 0.8), (3, 4, 0.3), (2, 5, 0.7), (4, 5, 0.99)]
    later = start.arrive(linkage_of(6, pairs), 0.5)
    assert later.ids.to_list() == [0, 0, 2, 3, 0, 0]
    reviews = later.log[later.log["kind"] == "review"]
    assert reviews[["left", "right"]].to_numpy().tolist() == [[0, 2]]  # asked once
    assert "1 to review" in repr(later)
    done = later.merge(0, 2, "same person, by telephone")
    assert done.ids.to_list() == [0, 0, 0, 3, 0, 0]
    assert done.log["kind"].to_list() == ["link", "link", "review", "link", "decision"]
    with pytest.raises(ContractError, match="is no link and no decision"):
        later.unmerge(reviews.index[0], "why not")


def test_the_weakest_link_comes_first():
    register = start_register(linkage_of(4, [(0, 1, 0.9), (1, 2, 0.6), (0, 2, 0.55), (2, 3, 0.99)]), 0.5)
    links = register.links_of(0)
    assert links["probability"].to_list() == [0.6, 0.9, 0.99]
    assert register.unmerge(links.index[0], "two accounts").ids.to_list() == [0, 0, 2, 2]


def test_what_a_register_refuses():
    register = start_register(linkage_of(3, [(0, 1, 0.9)]), 0.5)
    for one, other in ((0, 0), (0, 1), (7, 8)):  # 1 is not in use any more
        with pytest.raises(ContractError, match="merge needs the numbers of two persons in use"):
            register.merge(one, other, "x")
    with pytest.raises(ContractError, match="give a reason"):
        register.merge(0, 2, " ")
    with pytest.raises(ContractError, match="give a reason"):
        register.unmerge(0, "")
    with pytest.raises(ContractError, match="event 9 is no link"):
        register.unmerge(9, "x")
    with pytest.raises(ContractError, match="event 0 was taken back already: 'x'"):
        register.unmerge(0, "x").unmerge(0, "y")
    with pytest.raises(ContractError, match="there is no person 1 "):
        register.links_of(1)
    with pytest.raises(ContractError, match="in this order"):
        register.arrive(linkage_of(3, []), 0.5)
    with pytest.raises(ContractError, match="threshold must lie"):
        register.arrive(linkage_of(4, []), 2)
    with pytest.raises(ContractError, match="needs a Linkage"):
        start_register(pd.DataFrame(), 0.5)  # type: ignore[arg-type]
    with pytest.raises(ContractError, match="threshold must lie"):
        start_register(linkage_of(3, []), -1)


def test_a_register_of_a_simulated_firm_grows():
    table = simulate(600, seed=2)["identities"].sort_values("recorded_on", ignore_index=True)
    table["address"] = table["street"] + " " + table["postcode"]
    known = link_records(table.iloc[:-100], sample=200_000)
    start = start_register(known, 0.5)
    later = start.arrive(match_arrivals(known, table.iloc[-100:]), 0.5)
    assert later.ids.loc[start.ids.index].equals(start.ids)
    assert len(later.ids) == len(table)
    assert (later.log["reason"] == "arrival").sum() > 30


DAY = pd.to_datetime(["2024-01-01", "2024-03-01", "2024-02-01", "2024-05-01", "2024-04-01"])
TABLE = pd.DataFrame(
    {
        "record_id": ["a", "b", "c", "d", "e"],
        "recorded_on": DAY,
        "system": ["web", "store", "app", "store", "web"],
        "name": ["Bill", "William", "Bill", None, "Zoe"],
        "phone": ["1", "2", None, None, "9"],
    }
)
WHOSE = pd.Series([1, 1, 1, 1, 2], index=TABLE["record_id"])


def test_survivors_by_hand():
    how: Any = {"name": "frequent", "phone": "recent"}
    golden = golden_records(TABLE, WHOSE, how)
    assert golden.table.loc[1].to_dict() == {"name": "Bill", "phone": "2"}
    assert golden.origin.loc[1].to_dict() == {"name": "c", "phone": "b"}  # the most recent Bill
    assert golden.conflicts.loc[1].all()
    assert not golden.conflicts.loc[2].any()
    by_source = golden_records(TABLE, WHOSE, {"name": "source", "phone": "source"}, priority=["app", "web"])
    assert by_source.table.loc[1].to_dict() == {"name": "Bill", "phone": "1"}  # the app has no phone
    assert by_source.origin.loc[1].to_dict() == {"name": "c", "phone": "a"}
    assert repr(golden).startswith("2 golden records\n  name         frequent  filled for 100.0%, chosen")


def test_a_tie_goes_to_the_more_recent_then_to_the_one_further_up():
    names: Any = ["Bill", "William", None, None, "Zoe"]
    table = TABLE.assign(name=names)
    assert golden_records(table, WHOSE, {"name": "frequent"}).table.loc[1, "name"] == "William"
    same_day = table.assign(recorded_on=DAY[0])
    assert golden_records(same_day, WHOSE, {"name": "frequent"}).table.loc[1, "name"] == "Bill"


def test_what_nobody_has_stays_missing():
    golden = golden_records(TABLE.assign(phone=None), WHOSE, {"phone": "recent"})
    assert golden.table["phone"].isna().all()
    assert golden.origin["phone"].isna().all()
    assert len(golden.table) == 2


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 3), st.one_of(st.none(), st.sampled_from("xyz"))), min_size=1, max_size=12))
def test_a_survivor_is_a_value_of_its_cluster(rows):
    table = pd.DataFrame(rows, columns=["who", "value"]).assign(record_id=range(len(rows)), recorded_on=DAY[0])
    whose = pd.Series(table["who"].to_numpy(), index=table["record_id"])
    for rule in ("recent", "frequent"):
        how: Any = {"value": rule}
        golden = golden_records(table, whose, how)
        values, fought = golden.table["value"].to_dict(), golden.conflicts["value"].to_dict()
        for who, group in table.groupby("who"):
            value, held = values[who], group["value"].dropna()
            assert (value in set(held)) if len(held) else pd.isna(value)
            assert fought[who] == (held.nunique() > 1)
            if rule == "frequent" and len(held):
                assert (held == value).sum() == held.value_counts().max()


@pytest.mark.parametrize(
    ("change", "rules", "options", "told"),
    [
        ({}, {"name": "latest"}, {}, "'name': 'latest'"),
        ({}, {}, {}, "rules say for each column"),
        ({}, "recent", {}, "rules say for each column"),
        ({}, {"nam": "recent"}, {}, "did you mean 'name'"),
        ({}, {"name": "source"}, {}, "needs priority"),
        ({}, {"name": "source"}, {"priority": ["web"], "source": "where"}, "'where'"),
        ({"recorded_on": "2024"}, {"name": "recent"}, {}, "needs dates in 'recorded_on'"),
        ({"recorded_on": pd.NaT}, {"name": "recent"}, {}, "recorded_on: missing in 5 rows"),
        ({"record_id": ["a", "a", "c", "d", "e"]}, {"name": "recent"}, {}, "record_id: the same twice in 1 rows"),
        ({"record_id": ["a", "b", "c", "d", "f"]}, {"name": "recent"}, {}, r"no cluster in 1 rows \(first: 5\)"),
    ],
)
def test_golden_records_that_are_refused(change, rules, options, told):
    with pytest.raises(ContractError, match=told):
        golden_records(TABLE.assign(**change), WHOSE, rules, **options)
    with pytest.raises(ContractError, match="clusters must be a series"):
        golden_records(TABLE, np.ones(5), {"name": "recent"})  # type: ignore[arg-type]
