"""Who may be contacted and who is: consent against an independent rule, plans against brute force."""

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from crmlab.datasets.company import simulate
from crmlab.errors import ContractError
from crmlab.onetoone import contact_plan, eligible

DAY = pd.Timestamp("2024-01-01")


def consents(*rows, purpose=None) -> pd.DataFrame:
    """Rows of customer, channel, day given, day withdrawn (or None), in days after 1 January 2024."""
    table = pd.DataFrame(list(rows), columns=["customer_id", "channel", "given_on", "withdrawn_on"])
    for name in ("given_on", "withdrawn_on"):
        table[name] = DAY + pd.to_timedelta(table[name].astype(float), unit="D")
    return table if purpose is None else table.assign(purpose=purpose)


def may(rows, customer, channel, day) -> bool:
    """The rule in words: a consent by then, and no withdrawal by then on or after the day it was given."""
    mine = [(given, end) for who, way, given, end in rows if who == customer and way == channel and given <= day]
    ends = [end for _, end in mine if end is not None and end <= day]
    return any(all(end < given for end in ends) for given, _ in mine)


def offers(n: int, seed: int, channels=("email", "mail")) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"customer_id": np.repeat(np.arange(n), len(channels)), "channel": list(channels) * n})
    dear = table["channel"] == "mail"
    value = rng.gamma(1.5, 1.0, len(table)) * np.where(dear, 2.5, 1.0)
    return table.assign(value=value, cost=np.where(dear, 0.8, 0.05))


def everybody(table: pd.DataFrame) -> pd.DataFrame:
    known = table[["customer_id", "channel"]].drop_duplicates()
    return known.assign(given_on=DAY, withdrawn_on=pd.Series(pd.NaT, known.index))


def test_consent_by_hand():
    table = consents((1, "email", 0, None), (2, "email", 0, 10), (3, "email", 20, None), (1, "mail", 0, 5))
    assert eligible([1, 2, 3, 4], table, channel="email", on=DAY).tolist() == [True, True, False, False]
    assert eligible([1, 2, 3], table, channel="email", on="2024-01-10").tolist() == [True, True, False]
    assert eligible([1, 2, 3], table, channel="email", on="2024-01-11").tolist() == [True, False, False]
    assert eligible([1, 1], table, channel=["mail", "email"], on="2024-02-01").tolist() == [False, True]


def test_a_withdrawal_beats_older_consents_and_a_later_consent_holds_again():
    twice = consents((1, "email", 0, None), (1, "email", 3, 10))
    assert eligible([1], twice, channel="email", on="2024-01-10").item()
    assert not eligible([1], twice, channel="email", on="2024-01-11").item()
    again = consents((1, "email", 0, 10), (1, "email", 11, None))
    assert eligible([1], again, channel="email", on="2024-01-12").item()
    same_day = consents((1, "email", 0, 10), (1, "email", 10, None))
    assert not eligible([1], same_day, channel="email", on="2024-01-12").item()


def test_the_time_of_day_plays_no_part():
    table = consents((1, "email", 0, None)).assign(withdrawn_on=pd.Timestamp("2024-01-11 23:59"))
    assert not eligible([1], table, channel="email", on="2024-01-11 08:00").item()


def test_purpose_is_named_and_matched():
    table = pd.concat(
        [
            consents((1, "email", 0, None), (2, "email", 0, None), purpose="marketing"),
            consents((1, "email", 0, None), purpose="service"),
        ]
    )
    assert eligible([1, 2], table, channel="email", on="2024-02-01", purpose="service").tolist() == [True, False]
    assert not eligible([1], table, channel="email", on="2024-02-01", purpose="profiling").any()
    with pytest.raises(ContractError, match="name the purpose, one of marketing, service"):
        eligible([1], table, channel="email", on="2024-02-01")
    two: Any = ["service", "marketing", "service"]
    with pytest.raises(ContractError, match="name the purpose, one of marketing, service"):
        eligible([1], table, channel="email", on="2024-02-01", purpose=two)
    with pytest.raises(ContractError, match="do not say for which purpose"):
        eligible([1], consents((1, "email", 0, None)), channel="email", on="2024-02-01", purpose="service")


days = st.integers(0, 12)
row = st.tuples(st.integers(0, 3), st.sampled_from(["email", "mail"]), days, st.one_of(st.none(), days)).filter(
    lambda one: one[3] is None or one[3] >= one[2]
)
rows_of = st.lists(row, min_size=0, max_size=8)


@given(rows_of, days)
@settings(max_examples=200, deadline=None)
def test_eligibility_is_the_rule_in_words(rows, day):
    table = consents(*rows)
    who = [(customer, channel) for customer in range(5) for channel in ("email", "mail")]
    found = eligible([w for w, _ in who], table, channel=[c for _, c in who], on=DAY + pd.Timedelta(days=day))
    assert found.tolist() == [may(rows, customer, channel, day) for customer, channel in who]


@given(rows_of, days, days, st.integers(0, 1_000), st.floats(0, 6), st.sampled_from(["optimal", "greedy"]))
@settings(max_examples=100, deadline=None)
def test_no_opted_out_customer_is_ever_selected_or_sent_to(rows, day, later, seed, budget, method):
    table = consents(*rows)
    on = DAY + pd.Timedelta(days=day)
    plan = contact_plan(offers(5, seed), table, on=on, budget=budget, method=method)
    assert all(may(rows, one.customer_id, one.channel, day) for one in plan.table.itertuples())
    assert plan.cost <= budget + 1e-9
    assert not plan.table["customer_id"].duplicated().any()
    assume(later >= day)
    sent = plan.recheck(table, on + pd.Timedelta(days=later - day))
    assert all(may(rows, one.customer_id, one.channel, later) for one in sent.table.itertuples())
    kept = [may(rows, one.customer_id, one.channel, later) for one in plan.table.itertuples()]
    assert len(sent.table) == sum(kept)


def test_a_withdrawal_between_planning_and_sending_is_respected():
    table = offers(50, 1)
    before = everybody(table)
    plan = contact_plan(table, before, on="2024-03-01", budget=20)
    first = plan.table.iloc[0]
    gone = (before["customer_id"] == first["customer_id"]) & (before["channel"] == first["channel"])
    after = before.assign(withdrawn_on=before["withdrawn_on"].where(~gone, pd.Timestamp("2024-03-02")))
    sent = plan.recheck(after, "2024-03-02")
    assert set(plan.table["customer_id"]) - set(sent.table["customer_id"]) == {first["customer_id"]}
    assert sent.left_out["withdrawn since"] == 1
    assert str(sent.on) == "2024-03-02"
    assert np.isnan([sent.bound, sent.gap, sent.shadow_price]).all()
    assert "gap" in repr(plan)
    assert "gap" not in repr(sent)
    with pytest.raises(ContractError, match="cannot be sent before"):
        plan.recheck(after, "2024-02-28")


def best_by_brute_force(table: pd.DataFrame, budget: float) -> float:
    net = (table["value"] - table["cost"]).to_numpy().reshape(-1, 2)
    cost = table["cost"].to_numpy().reshape(-1, 2)
    best = 0.0
    for choice in itertools.product(range(3), repeat=len(net)):
        picked = [(i, c - 1) for i, c in enumerate(choice) if c]
        if sum(cost[p] for p in picked) <= budget:
            best = max(best, sum(net[p] for p in picked))
    return best


@pytest.mark.parametrize("budget", [0.04, 0.3, 1.0, 2.5, 4.0, 100.0])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_plans_against_every_possible_one(seed, budget):
    table = offers(7, seed)
    best = best_by_brute_force(table, budget)
    for method in ("optimal", "greedy"):
        plan = contact_plan(table, everybody(table), on="2024-03-01", budget=budget, method=method)
        assert plan.net <= best + 1e-9 <= plan.bound + 2e-9
    plan = contact_plan(table, everybody(table), on="2024-03-01", budget=budget)
    assert best - plan.net <= (table["value"] - table["cost"]).max()  # at most the one customer who was a fraction
    if budget >= 4.0:
        assert plan.net > 0.85 * best
    if budget == 100.0:
        assert plan.net == pytest.approx(best)
        assert plan.shadow_price == 0


def test_the_optimal_plan_is_within_a_hair_of_its_bound_and_greedy_is_not():
    table = offers(2_000, 4)
    plans = {
        method: contact_plan(table, everybody(table), on="2024-03-01", budget=400, method=method)
        for method in ("optimal", "greedy")
    }
    assert plans["optimal"].gap < 0.001
    assert plans["greedy"].gap > 0.05
    assert plans["optimal"].bound == pytest.approx(plans["greedy"].bound)
    more = contact_plan(table, everybody(table), on="2024-03-01", budget=401)
    assert more.bound - plans["optimal"].bound == pytest.approx(plans["optimal"].shadow_price, rel=0.02)
    assert "Optimal plan for 2024-03-01" in repr(plans["optimal"])


def test_caps_count_the_window_only():
    table = offers(3, 1, channels=("email",)).assign(value=1.0)
    on = pd.Timestamp("2024-03-29")
    before = pd.DataFrame({"customer_id": [0, 0, 1, 1, 2], "date": on - pd.to_timedelta([0, 27, 27, 28, 40], unit="D")})
    plan = contact_plan(table, everybody(table), on=on, budget=9, contacts=before, cap=2)
    assert plan.table["customer_id"].tolist() == [1, 2]
    assert plan.left_out.to_dict() == {"no consent": 0, "cap reached": 1, "not worth its cost": 0}
    none = contact_plan(table, everybody(table), on=on, budget=9, cap=0)
    assert none.table.empty
    assert none.net == none.gap == 0
    assert "left out: 3 cap reached" in repr(none)


def test_worthless_offers_and_other_columns():
    table = offers(4, 1, channels=("email",)).assign(value=[0.05, 1.0, -3.0, 0.2], action="recipe")
    plan = contact_plan(table, everybody(table), on="2024-03-01", budget=9)
    assert plan.table["customer_id"].tolist() == [1, 3]
    assert plan.table["action"].tolist() == ["recipe", "recipe"]
    assert plan.left_out["not worth its cost"] == 2
    assert plan.net == pytest.approx(0.95 + 0.15)


def test_plan_for_the_simulated_firm_keeps_its_consents():
    firm = simulate(2_000, seed=5)
    people, end = firm["customers"]["customer_id"], firm["decisions"]["date"].max()
    table = pd.DataFrame({"customer_id": np.repeat(people, 2), "channel": ["email", "mail"] * len(people)})
    table = table.assign(value=np.random.default_rng(1).gamma(1, 2, len(table)), cost=[0.05, 0.8] * len(people))
    plan = contact_plan(
        table, firm["consents"], on=end, budget=300, contacts=firm["decisions"].query("action != 'none'")
    )
    joined = plan.table.merge(firm["consents"], on=["customer_id", "channel"], how="left")
    assert len(plan.table) > 300
    assert joined["given_on"].notna().all()
    assert not (joined["withdrawn_on"] <= end).any()


def test_the_budget_holds_to_the_last_cent_and_money_may_be_of_any_size():
    """A part just below 1, within the solver's tolerance, is no whole."""
    one = pd.DataFrame({"customer_id": [1], "channel": "email", "value": 3e6, "cost": 1e6})
    assert contact_plan(one, everybody(one), on="2024-03-01", budget=1e6 - 0.5).table.empty
    assert len(contact_plan(one, everybody(one), on="2024-03-01", budget=1e6).table) == 1
    table = offers(60, 2)
    plain = contact_plan(table, everybody(table), on="2024-03-01", budget=10)
    for unit in (1e-9, 1e9, 1e200):
        big = table.assign(value=table["value"] * unit, cost=table["cost"] * unit)
        plan = contact_plan(big, everybody(table), on="2024-03-01", budget=10 * unit)
        assert plan.table.index.equals(plain.table.index)
        assert plan.bound / unit == pytest.approx(plain.bound)
        assert plan.shadow_price == pytest.approx(plain.shadow_price)


def test_numbers_are_no_days_and_days_are_read_one_way_only():
    """20250110 would be read as nanoseconds of 1970, a consent for ever; 03/01 is two days."""
    good = consents((1, "email", 0, None))
    wrongs: list[Any] = [20250110, 45301.0, pd.Period("2024-01-01", "D")]
    for wrong in wrongs:
        with pytest.raises(ContractError, match="given_on of the consents holds no dates but"):
            eligible([1], good.assign(given_on=wrong), channel="email", on="2024-02-01")
        with pytest.raises(ContractError, match="withdrawn_on of the consents holds no dates but"):
            eligible([1], good.assign(withdrawn_on=wrong), channel="email", on="2024-02-01")
    with pytest.raises(ContractError, match="withdrawn_on: no date"):
        eligible([1], good.assign(withdrawn_on="03/01/2024"), channel="email", on="2024-02-01")
    zones = pd.concat([good.assign(given_on=f"2024-01-01T08:00+0{hours}:00") for hours in (1, 8)])
    with pytest.raises(ContractError, match="given_on of the consents has a time zone"):
        eligible([1], zones, channel="email", on="2024-02-01")
    mixed = pd.concat([good.assign(given_on=day) for day in ("2024-01-31 23:59:59", "2024-02-02")])
    assert eligible([1], mixed, channel="email", on="2024-01-31").item()
    assert not eligible([1], mixed, channel="email", on="2024-01-30").item()


def test_text_and_number_ids_are_not_mixed_in_silence():
    table = consents((1, "email", 0, None))
    with pytest.raises(ContractError, match="nobody would match"):
        eligible(["1"], table, channel="email", on="2024-02-01")
    text = table.assign(customer_id="a7")
    assert eligible(pd.Series(["a7", "b1"], index=[5, 9]), text, channel="email", on="2024-02-01").to_dict() == {
        5: True,
        9: False,
    }
    assert eligible([], table, channel="email", on="2024-02-01").empty
    assert not eligible([1], table.iloc[:0], channel="email", on="2024-02-01").any()


def test_refusals():
    good = consents((1, "email", 0, None))
    with pytest.raises(ContractError, match="'withdrawn_on'"):
        eligible([1], good.drop(columns="withdrawn_on"), channel="email", on="2024-02-01")
    broken = good.astype({"given_on": object, "withdrawn_on": object})
    with pytest.raises(ContractError, match="given_on: missing or no date in 1 rows"):
        eligible([1], broken.assign(given_on="soon"), channel="email", on="2024-02-01")
    with pytest.raises(ContractError, match="withdrawn_on: no date"):
        eligible([1], broken.assign(withdrawn_on="never"), channel="email", on="2024-02-01")
    with pytest.raises(ContractError, match="withdrawn_on: before given_on"):
        eligible([1], consents((1, "email", 5, 2)), channel="email", on="2024-02-01")
    aware = good.assign(withdrawn_on=good["given_on"].dt.tz_localize("UTC"))
    with pytest.raises(ContractError, match="one for each of 1 customers"):
        eligible([1], good, channel=["email", "mail"], on="2024-02-01")
    with pytest.raises(ContractError, match="withdrawn_on of the consents has a time zone"):
        eligible([1], aware, channel="email", on="2024-02-01")
    with pytest.raises(ContractError, match="one column, got 0 dimensions"):
        eligible(1, good, channel="email", on="2024-02-01")
    with pytest.raises(ContractError, match="on is not a date"):
        eligible([1], good, channel="email", on="some day")
    table = offers(3, 1)
    arguments: dict[str, Any] = {"consents": everybody(table), "on": "2024-03-01", "budget": 1}
    for changes, match in (
        ({"budget": np.nan}, "budget"),
        ({"budget": -1}, "budget"),
        ({"cap": 1.5}, "cap"),
        ({"days": 0}, "days"),
        ({"method": "best"}, "method must be one of optimal, greedy"),
        ({"contacts": pd.DataFrame({"customer_id": [1], "date": [None]})}, "no date"),
        ({"contacts": pd.DataFrame({"customer_id": [1]})}, "'date'"),
        ({"contacts": pd.DataFrame({"customer_id": ["1"], "date": [DAY]})}, "str in the contacts and int64 among"),
    ):
        with pytest.raises(ContractError, match=match):
            contact_plan(table, **(arguments | changes))
    for changed, match in (
        (table.assign(cost=0.0), "cost: not a finite number above 0 in 6 rows"),
        (table.assign(value=np.inf), "value: not a finite number"),
        (table.assign(value=pd.array([None] + [1] * 5, dtype="Int64")), "value: not a finite number in 1 rows"),
        (table.assign(channel=None), "channel: missing"),
        (table.drop(columns="value"), "'value'"),
        (table.assign(net=1.0), "'net' is the plan's own"),
    ):
        with pytest.raises(ContractError, match=match):
            contact_plan(changed, **arguments)
    empty = contact_plan(table.iloc[:0], **arguments)
    assert empty.table.empty
    assert empty.bound == 0
