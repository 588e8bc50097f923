"""Queues, staffing, recovery, instruments and networks refuse what they cannot use, and say why."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from crmlab.errors import ContractError
from crmlab.relationship.influence import two_stage_least_squares
from crmlab.relationship.recovery import compare_groups, orders_after
from crmlab.relationship.service import erlang_a, erlang_c
from crmlab.relationship.service_staffing import desk_table, mean_patience, staff_for, staffing_curve
from crmlab.relationship.word_of_mouth import choose_seeds, network, reach, referral_flows


def test_queue_arguments_are_refused_together():
    with pytest.raises(ContractError) as caught:
        erlang_a(0, 2.5, handling_minutes=np.nan, patience_minutes=[], within_seconds=-1)
    assert caught.value.problems == (
        "calls_per_hour must be above 0 and finite; got 0",
        "agents must be a whole number of 1 or more and finite; got 2.5",
        "handling_minutes must be above 0 and finite; got nan",
        "within_seconds must be 0 or more and finite; got -1",
        "patience_minutes is empty",
    )


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(ContractError, match=r"agents has shape \(2,\)"):
        erlang_c([1, 2, 3], [4, 5], handling_minutes=1)


def test_erlang_c_refuses_an_overloaded_desk_and_says_what_to_do():
    with pytest.raises(ContractError, match=r"1 of 2 cases \(first: 10 Erlang for 10 agents\).*use erlang_a"):
        erlang_c([60, 120], 10, handling_minutes=5)


def test_units_that_make_an_endless_queue_are_refused():
    with pytest.raises(ContractError, match="check the units"):
        erlang_a(1e9, 10, handling_minutes=300, patience_minutes=300)


@pytest.mark.parametrize("level", [0, 1, 1.5, np.nan])
def test_a_service_level_is_a_share(level):
    with pytest.raises(ContractError, match="service_level"):
        staff_for(60, handling_minutes=5, service_level=level)


def test_costs_are_amounts():
    times = {"handling_minutes": 5.0, "patience_minutes": 4.0}
    with pytest.raises(ContractError) as caught:
        staffing_curve(60, [5], agent_hour=-1, lost_call=np.inf, **times)
    assert len(caught.value.problems) == 2
    with pytest.raises(ContractError, match="agents is empty"):
        staffing_curve(60, [], agent_hour=1, lost_call=1, **times)


@pytest.mark.parametrize(
    ("waited", "gone", "message"),
    [
        ([], [], "no row"),
        ([1.0], [True, False], "same length"),
        ([1.0, 2.0], [0, 1], "got int64"),
        ([-1.0, np.nan], [True, False], "in 2 rows"),
        ([1.0, 2.0], [False, False], "nobody hung up"),
        ([0.0, 0.0], [True, False], "nobody waited"),
    ],
)
def test_patience_needs_waits_and_hang_ups(waited, gone, message):
    with pytest.raises(ContractError, match=message):
        mean_patience(waited, gone)


def test_patience_needs_a_level():
    with pytest.raises(ContractError, match="level"):
        mean_patience([1.0], [True], level=1.0)


DESK = pd.DataFrame(
    {
        "slot": ["a", "b"],
        "agents": [2, 3],
        "calls_offered": [5, 6],
        "calls_abandoned": [1, 0],
        "answered_in_time": [3, 6],
    }
)


@pytest.mark.parametrize(
    ("desk", "message"),
    [
        (DESK.drop(columns="agents"), "'agents'"),
        (DESK.iloc[:0], "no row"),
        (DESK.assign(calls_offered=[1.5, np.nan]), "calls_offered: no count of 0 or more in 2 rows"),
        (DESK.assign(calls_abandoned=[4, 0]), "more calls ended than were offered in 1 rows"),
        (DESK.assign(calls_offered=0, calls_abandoned=0, answered_in_time=0), "slots without a call: a, b"),
    ],
)
def test_a_desk_is_checked(desk, message):
    with pytest.raises(ContractError, match=message):
        desk_table(desk, by=["slot"], handling_minutes=5, patience_minutes=4)


DATES = pd.to_datetime(["2024-01-01", "2024-01-05", "2024-03-01"])
ORDERS = pd.DataFrame({"customer_id": [1, 2, 1], "date": DATES, "amount": [1.0, 2.0, 3.0]})


@pytest.mark.parametrize(
    ("cases", "orders", "days", "message"),
    [
        (ORDERS, ORDERS, 0, "days must be a whole number of 1"),
        (ORDERS.iloc[:0], ORDERS, 5, "cases: no row"),
        (ORDERS, ORDERS.drop(columns="amount"), 5, "'amount'"),
        (ORDERS.assign(date="2024-01-01"), ORDERS, 5, "use pandas.to_datetime"),
        (ORDERS.assign(date=ORDERS["date"].dt.tz_localize("UTC")), ORDERS, 5, "without a time zone"),
        (ORDERS, ORDERS.assign(amount=[1, np.inf, 2]), 5, r"amount: not a finite number in 1 rows \(first: 2\)"),
        (ORDERS.assign(customer_id=[1, np.nan, 2]), ORDERS, 5, "customer_id: missing"),
        (ORDERS, ORDERS, 90, "no window of 90 days is over"),
        (ORDERS.assign(customer_id=["1", "2", "1"]), ORDERS, 5, "ids of one kind"),
    ],
)
def test_cases_and_orders_are_checked(cases, orders, days, message):
    with pytest.raises(ContractError, match=message):
        orders_after(cases, orders, days=days)


GROUPS = pd.DataFrame(
    {"customer_id": range(6), "again": [0, 1, 1, 0, 1, 1], "group": list("aabbab"), "before": [1.0, 2, 3, 4, 5, 7]}
)


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        (GROUPS.drop(columns="group"), {}, "'group'"),
        (GROUPS.iloc[:0], {}, "the same value|another group"),
        (GROUPS.assign(again=1), {}, "again: the same value in every row"),
        (GROUPS.assign(before=[1, 2, np.nan, 3, 4, 5]), {}, r"before: not a finite number in 1 rows \(first: 3\)"),
        (GROUPS.assign(group="a"), {}, "another group"),
        (GROUPS.assign(group=list("aaaaab")), {}, "'b' has one customer only"),
        (GROUPS.assign(group=["a", "a", "b", np.nan, "a", "b"]), {}, "group: missing"),
        (GROUPS, {"reference": "c"}, "need 'c'"),
        (GROUPS, {"level": 2.0}, "level"),
        (GROUPS.assign(before=(GROUPS["group"] == "a") * 1), {}, "follows from the others"),
    ],
)
def test_groups_are_checked(table, options, message):
    with pytest.raises(ContractError, match=message):
        compare_groups(table, "again", **{"group": "group", "reference": "a", "adjust": ["before"], **options})


RNG = np.random.default_rng(1)
FARMS = pd.DataFrame(
    {"y": RNG.random(40), "d": RNG.random(40), "z": RNG.random(40), "x": RNG.random(40), "g": np.arange(40) % 8}
)


@pytest.mark.parametrize(
    ("frame", "options", "message"),
    [
        (FARMS.drop(columns="z"), {}, "'z'"),
        (FARMS.iloc[:0], {}, "the same value|no row"),
        (FARMS.assign(d=1.0), {}, "d: the same value"),
        (FARMS.assign(y=[np.inf, *FARMS["y"][1:]]), {}, r"y: not a finite number in 1 rows \(first: 1\)"),
        (FARMS.assign(g=[np.nan, *FARMS["g"][1:]]), {}, "g: missing"),
        (FARMS.assign(g=1), {}, "fewer than two clusters"),
        (FARMS.assign(w=2 * FARMS["z"]), {"controls": ["w"]}, "follows from the others"),
        (FARMS.assign(w=FARMS["g"].astype(str)).iloc[:9], {"controls": ["w"]}, "more columns than rows"),
        (FARMS, {"level": 0.0}, "level"),
    ],
)
def test_instruments_are_checked(frame, options, message):
    with pytest.raises(ContractError, match=message):
        two_stage_least_squares(
            frame, **{"outcome": "y", "treatment": "d", "instrument": "z", "cluster": "g", **options}
        )


TIES = pd.DataFrame({"customer_id": [1, 1, 2], "friend_id": [2, 3, 3]})


@pytest.mark.parametrize(
    ("ties", "people", "message"),
    [
        (TIES.drop(columns="friend_id"), None, "'friend_id'"),
        (TIES.iloc[:0], None, "no tie"),
        (TIES.assign(friend_id=[2, 1, 3]), None, "tied to themselves in 1 rows"),
        (TIES.assign(customer_id=[1, 2, 2], friend_id=[2, 1, 3]), None, r"pair twice in 1 rows \(first: 2\)"),
        (TIES.assign(friend_id=[2, np.nan, 3]), None, "id missing in 1 rows"),
        (TIES, [1, 2], "id not among `people` in 2 rows"),
        (TIES, [1, 2, 3, np.nan], "people: id missing"),
    ],
)
def test_ties_are_checked(ties, people, message):
    with pytest.raises(ContractError, match=message):
        network(ties, people=people)


def test_seeds_and_plans_are_checked():
    net = network(TIES)
    with pytest.raises(ContractError, match="rule must be one of"):
        choose_seeds(net, 1, "best", seed=1)  # type: ignore[arg-type]
    with pytest.raises(ContractError, match="n must be a whole number from 1 to 3"):
        choose_seeds(net, 4, "random", seed=1)
    with pytest.raises(ContractError, match="greedy needs `chance`"):
        choose_seeds(net, 1, "greedy", seed=1)
    with pytest.raises(ContractError, match="chance must lie"):
        reach(net, {"a": [1]}, chance=1.5, seed=1)
    wrong: list[tuple[dict[str, list[int]], int]] = [
        ({}, 5),
        ({"a": []}, 5),
        ({"a": [9]}, 5),
        ({"a": [1, 1]}, 5),
        ({"a": [1]}, 1),
    ]
    for plans, draws in wrong:
        with pytest.raises(ContractError, match="cannot be simulated"):
            reach(net, plans, chance=0.5, draws=draws, seed=1)


SENT = pd.DataFrame({"referrer_id": [1, 2], "customer_id": [2, 3]})


@pytest.mark.parametrize(
    ("sent", "partner", "message"),
    [
        (SENT.drop(columns="referrer_id"), pd.Series(["a", "b", "b"], index=[1, 2, 3]), "'referrer_id'"),
        (SENT, pd.Series(["a", "b"], index=[1, 2]), r"customer_id: missing, or without a partner in 1 rows"),
        (SENT, pd.Series(["a", "b", "b"], index=[1, 2, 2]), "twice in the index"),
        (SENT, pd.Series(["a", "a", "a"], index=[1, 2, 3]), "two partners"),
        (SENT.iloc[:0], pd.Series(["a", "b", "b"], index=[1, 2, 3]), "two partners"),
    ],
)
def test_referrals_are_checked(sent, partner, message):
    with pytest.raises(ContractError, match=message):
        referral_flows(sent, partner)


def test_repeated_labels_of_rows_change_nothing():
    rng = np.random.default_rng(1)
    town = pd.DataFrame({"y": rng.normal(size=60), "z": np.arange(60) % 2, "w": ["a", "b", "c"] * 20})
    town = town.assign(d=town["z"] + rng.normal(size=60), g=np.arange(60) // 6)
    columns: dict[str, Any] = {"outcome": "y", "treatment": "d", "instrument": "z", "cluster": "g"}
    plain = two_stage_least_squares(town, **columns, controls=["w"]).table
    repeated = two_stage_least_squares(town.set_axis([0] * 60), **columns, controls=["w"]).table
    pd.testing.assert_frame_equal(plain, repeated)


@pytest.mark.parametrize(
    "roles", [{"outcome": "d"}, {"instrument": "d"}, {"controls": ["z"]}, {"controls": ["w", "w"]}]
)
def test_a_column_has_one_role(roles):
    town = pd.DataFrame({name: np.arange(9.0) % (3 + at) for at, name in enumerate("ydzwg")})
    columns = {"outcome": "y", "treatment": "d", "instrument": "z", "cluster": "g"} | roles
    with pytest.raises(ContractError, match=r"two roles, or is there twice: [dzw]"):
        two_stage_least_squares(town, **columns)


def test_a_slot_without_a_name_is_not_dropped():
    desk = pd.DataFrame({"slot": ["8:00", None], "agents": 3, "calls_offered": 9})
    desk = desk.assign(calls_abandoned=0, answered_in_time=8)
    with pytest.raises(ContractError, match="slot: missing in 1 rows"):
        desk_table(desk, by=["slot"], handling_minutes=5, patience_minutes=4)
    with pytest.raises(ContractError, match="by must name other columns"):
        desk_table(desk, by=["slot", "agents"], handling_minutes=5, patience_minutes=4)


def test_waits_and_hang_ups_are_of_the_same_calls():
    with pytest.raises(ContractError, match="same index"):
        mean_patience(pd.Series([1.0, 2.0]), pd.Series([True, False], index=[5, 6]))


def test_words_where_numbers_belong():
    with pytest.raises(ContractError, match="waiting needs numbers"):
        erlang_c("many", 3, handling_minutes=5)
    with pytest.raises(ContractError, match="whole number of 1 or more"):
        orders_after(pd.DataFrame(), pd.DataFrame(), days=1.5)  # type: ignore[arg-type]
    with pytest.raises(ContractError, match="of several kinds"):
        network(pd.DataFrame({"customer_id": ["a", 1], "friend_id": ["b", 2]}))
    with pytest.raises(ContractError, match="partner must be a Series"):
        referral_flows(pd.DataFrame({"referrer_id": ["a"], "customer_id": ["b"]}), ["inn", "guide"])  # type: ignore[arg-type]


def test_seeds_and_draws_are_whole_numbers():
    star = network(pd.DataFrame({"customer_id": ["hub", "hub"], "friend_id": ["a", "b"]}))
    with pytest.raises(ContractError, match="n must be a whole number"):
        choose_seeds(star, 1.5, "random", seed=1)  # type: ignore[arg-type]
    with pytest.raises(ContractError, match="1 draw or more"):
        choose_seeds(star, 1, "greedy", seed=1, chance=0.5, draws=0)


def test_an_outcome_is_not_adjusted_for_itself():
    cases = pd.DataFrame({"customer_id": range(6), "end": ["lost", 1] * 3, "again": [0, 1, 0, 1, 1, 1]})
    with pytest.raises(ContractError, match="adjusted for itself"):
        compare_groups(cases, "again", group="end", reference="lost", adjust=["again"])


def test_a_desk_that_is_far_too_small_answers_nobody_in_time():
    # 83 Erlang for one agent: 1 - (sum of the busy states) came out as -2e-16
    assert 0 <= erlang_a(1000, 1, handling_minutes=5, patience_minutes=3).service_level < 1e-9
