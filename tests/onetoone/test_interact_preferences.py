"""Preferences learnt contact by contact, and the value of a question: against truth, by hand, by brute force."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta as beta_law

from crmlab.errors import ContractError
from crmlab.models import BetaBinomial, ConvergenceError
from crmlab.onetoone import learn_preferences, value_of_question


def contacts(customers: int, each: int, seed: int, laws: Any = None) -> Any:
    """Contacts of customers whose rates are drawn from beta laws, and these rates."""
    rng = np.random.default_rng(seed)
    laws = laws or {"recipe": (0.8, 12.0), "discount": (2.0, 18.0)}
    rates: Any = pd.DataFrame({name: rng.beta(a, b, customers) for name, (a, b) in laws.items()})
    long = rates.stack().rename_axis(["customer_id", "action"]).rename("rate").reset_index()
    log = long.loc[np.repeat(long.index, each)].reset_index(drop=True)
    return log.assign(response=(rng.random(len(log)) < log["rate"]).astype(int)), long


def test_intervals_cover_the_true_rates_and_estimates_beat_raw_rates():
    log, truth = contacts(4_000, 6, 1)
    learnt = learn_preferences(log)
    table = learnt.table.merge(truth, on=["customer_id", "action"])
    inside = (table["low"] <= table["rate"]) & (table["rate"] <= table["high"])
    assert inside.groupby(table["action"]).mean().between(0.94, 0.96).all()
    error = {name: float(((table[name] - table["rate"]) ** 2).mean()) for name in ("raw", "estimate")}
    assert error["estimate"] < 0.4 * error["raw"]
    assert table["estimate"].mean() == pytest.approx(table["rate"].mean(), abs=0.005)


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_coverage_follows_the_level(level):
    """Over several populations: the priors are estimated, so one population is all a little above or below."""
    inside = []
    for seed in range(8):
        log, truth = contacts(2_000, 10, seed)
        table = learn_preferences(log, level=level).table.merge(truth, on=["customer_id", "action"])
        inside.append(((table["low"] <= table["rate"]) & (table["rate"] <= table["high"])).mean())
    assert np.mean(inside) == pytest.approx(level, abs=0.015)


def test_the_posterior_sharpens_with_contacts():
    widths = []
    for each in (2, 8, 32):
        log, _ = contacts(1_500, each, 3)
        table = learn_preferences(log).table
        widths.append((table["high"] - table["low"]).mean())
    assert widths[0] > 1.2 * widths[1] > 1.44 * widths[2]


def test_posterior_is_that_of_an_independent_fit():
    log, _ = contacts(300, 5, 4, {"only": (1.0, 4.0)})
    learnt = learn_preferences(log)
    counts: Any = log.groupby("customer_id")["response"].agg(["sum", "size"])
    a, b = BetaBinomial(counts["sum"], counts["size"]).fit().params
    assert learnt.priors[["alpha", "beta"]].to_numpy()[0] == pytest.approx([a, b])
    law = beta_law(a + counts["sum"].to_numpy(), b + (counts["size"] - counts["sum"]).to_numpy())
    table = learnt.table
    np.testing.assert_allclose(table["estimate"], law.mean())
    np.testing.assert_allclose(table[["low", "high"]].T, law.interval(0.95), rtol=1e-8)
    assert learnt.priors["worth"].item() == pytest.approx(a + b)
    assert "300 customers among 1 actions, from 1,500 contacts" in repr(learnt)


def test_update_goes_on_where_it_stopped():
    log, _ = contacts(400, 8, 5)
    half = log.index % 2 == 0
    first = learn_preferences(log[half])
    later = first.update(log[~half])
    pd.testing.assert_frame_equal(later.priors, first.priors)
    counted = later.table.set_index(["customer_id", "action"])[["contacts", "responses"]]
    whole = learn_preferences(log).table.set_index(["customer_id", "action"])[["contacts", "responses"]]
    pd.testing.assert_frame_equal(counted, whole)
    mean = (first.priors["alpha"].loc["recipe"] + counted.loc[(3, "recipe"), "responses"]) / (
        first.priors["worth"].loc["recipe"] + counted.loc[(3, "recipe"), "contacts"]
    )
    row = later.table.query("customer_id == 3 and action == 'recipe'")
    assert row["estimate"].item() == pytest.approx(mean)


def test_a_new_customer_begins_with_the_prior():
    log, _ = contacts(400, 8, 6)
    new = pd.DataFrame({"customer_id": [9_999], "action": ["recipe"], "response": [0]})
    learnt = learn_preferences(log).update(new)
    rows: Any = learnt.table.query("customer_id == 9999").set_index("action")
    assert rows.loc["discount", "contacts"] == 0
    assert np.isnan(rows.loc["discount", "raw"])
    assert rows.loc["discount", "estimate"] == pytest.approx(learnt.priors.loc["discount", "mean"])
    assert rows.loc["recipe", "estimate"] < learnt.priors.loc["recipe", "mean"]


def test_favourites_are_right_as_often_as_they_say():
    log, truth = contacts(4_000, 12, 7)
    found = learn_preferences(log).favourites(seed=1, draws=300).set_index("customer_id")
    best = truth.pivot(index="customer_id", columns="action", values="rate").idxmax(axis=1)
    right = found["action"] == best.loc[found.index]
    assert right.mean() == pytest.approx(found["chance_best"].mean(), abs=0.02)
    again = learn_preferences(log).favourites(seed=1, draws=300).set_index("customer_id")
    pd.testing.assert_frame_equal(found, again)


def test_bool_responses_text_ids_and_categories_are_read():
    log, _ = contacts(200, 6, 8)
    plain = learn_preferences(log).table
    other = log.assign(
        customer_id="c" + log["customer_id"].astype(str).str.zfill(5),
        action=log["action"].astype("category"),
        response=log["response"].astype(bool),
    )
    np.testing.assert_allclose(learn_preferences(other).table["estimate"], plain["estimate"])


def test_refusals():
    log, _ = contacts(50, 6, 9)
    with pytest.raises(ContractError, match="'response'"):
        learn_preferences(log[["customer_id", "action"]])
    with pytest.raises(ContractError, match="no row"):
        learn_preferences(log.iloc[:0])
    with pytest.raises(ContractError, match=r"response: neither 0 nor 1 in 1 rows \(first: 2\)"):
        learn_preferences(log.assign(response=[0, 2] + [1] * (len(log) - 2)))
    with pytest.raises(ContractError, match="customer_id: missing in 1 rows"):
        learn_preferences(log.assign(customer_id=[np.nan, *log["customer_id"][1:]]))
    with pytest.raises(ContractError, match="level"):
        learn_preferences(log, level=1)
    with pytest.raises(ConvergenceError, match="not one success"):
        learn_preferences(log.assign(response=0))
    learnt = learn_preferences(contacts(200, 6, 9)[0])
    with pytest.raises(ContractError, match="no prior is known for the action 'phone'"):
        learnt.update(pd.DataFrame({"customer_id": [1], "action": ["phone"], "response": [1]}))
    with pytest.raises(ContractError, match=r"in what is known and .* nobody would match"):
        learnt.update(pd.DataFrame({"customer_id": ["1"], "action": ["recipe"], "response": [1]}))
    with pytest.raises(ContractError, match="draws"):
        learnt.favourites(seed=1, draws=0)


# value of a question

NEEDS = ["sour", "sweet", "unsure"]
PAYOFF = pd.DataFrame({"sour apples": [3.0, 0.0, 1.0], "sweet apples": [0.5, 2.0, 1.0]}, index=NEEDS)


def test_a_question_by_hand():
    said = pd.DataFrame({"sour": [0.8, 0.1, 0.5], "sweet": [0.2, 0.9, 0.5]}, index=NEEDS)
    found = value_of_question(PAYOFF, [0.4, 0.5, 0.1], said, cost=0.05)
    sour = {"sour apples": 0.4 * 0.8 * 3 + 0.1 * 0.5, "sweet apples": 0.4 * 0.8 * 0.5 + 0.5 * 0.1 * 2 + 0.05}
    sweet = {"sour apples": 0.4 * 0.2 * 3 + 0.05, "sweet apples": 0.4 * 0.2 * 0.5 + 0.5 * 0.9 * 2 + 0.05}
    assert found.offer == "sour apples"
    assert found.value == pytest.approx(1.3)
    assert found.gain == pytest.approx(max(sour.values()) + max(sweet.values()) - 1.3)
    assert found.perfect == pytest.approx(0.4 * 3 + 0.5 * 2 + 0.1 - 1.3)
    assert found.net == pytest.approx(found.gain - 0.05)
    assert found.table["offer"].tolist() == ["sour apples", "sweet apples"]
    assert found.table.loc["sour", "chance"] == pytest.approx(0.4 * 0.8 + 0.05 + 0.05)
    assert found.table["chance"] @ found.table["value"] == pytest.approx(found.value + found.gain)
    assert "asking costs 0.05: ask" in repr(found)


def test_an_answer_that_never_comes_has_no_value():
    said = pd.DataFrame({"yes": [1.0, 1.0, 1.0], "no": [0.0, 0.0, 0.0]}, index=NEEDS)
    found = value_of_question(PAYOFF, [0.4, 0.5, 0.1], said, cost=0.1)
    assert found.gain == 0
    assert found.table["value"].isna().tolist() == [False, True]
    assert "do not ask" in repr(found)


def test_a_series_is_matched_by_need_and_rows_in_any_order():
    said = pd.DataFrame({"sour": [0.8, 0.1, 0.5], "sweet": [0.2, 0.9, 0.5]}, index=NEEDS)
    plain = value_of_question(PAYOFF, [0.4, 0.5, 0.1], said)
    mixed = value_of_question(PAYOFF, pd.Series([0.1, 0.4, 0.5], ["unsure", "sour", "sweet"]), said.iloc[::-1])
    assert mixed.gain == pytest.approx(plain.gain)


chances = st.lists(st.floats(0.01, 1), min_size=3, max_size=3)


@given(st.lists(st.floats(-5, 5), min_size=9, max_size=9), chances, st.lists(chances, min_size=3, max_size=3))
@settings(max_examples=60, deadline=None)
def test_an_answer_is_worth_at_least_nothing_and_at_most_the_truth(values, prior, answers):
    needs = list("abc")
    payoff = pd.DataFrame(np.reshape(values, (3, 3)), index=needs)
    said = pd.DataFrame(answers, index=needs)
    said = said.div(said.sum(axis=1), axis=0)
    p = np.array(prior) / np.sum(prior)
    found = value_of_question(payoff, p, said)
    assert -1e-9 <= found.gain <= found.perfect + 1e-9
    sure = value_of_question(payoff, p, pd.DataFrame(np.eye(3), index=needs))
    assert sure.gain == pytest.approx(found.perfect, abs=1e-9)


def test_evsi_against_simulated_dialogues():
    rng = np.random.default_rng(1)
    said = pd.DataFrame({"sour": [0.8, 0.1, 0.5], "sweet": [0.2, 0.9, 0.5]}, index=NEEDS)
    found = value_of_question(PAYOFF, [0.4, 0.5, 0.1], said)
    need = rng.choice(3, 200_000, p=[0.4, 0.5, 0.1])
    heard = (rng.random(len(need)) > said["sour"].to_numpy()[need]).astype(int)
    offer = PAYOFF.columns.get_indexer(pd.Index(found.table["offer"]))[heard]
    earned = PAYOFF.to_numpy()[need, offer]
    assert earned.mean() == pytest.approx(found.value + found.gain, abs=0.012)


def test_question_refusals():
    said = pd.DataFrame({"sour": [0.8, 0.1, 0.5], "sweet": [0.2, 0.9, 0.5]}, index=NEEDS)
    prior = [0.4, 0.5, 0.1]
    with pytest.raises(ContractError, match="payoff must be a DataFrame"):
        value_of_question([[1]], prior, said)  # type: ignore[arg-type]
    with pytest.raises(ContractError, match="must hold numbers"):
        value_of_question(PAYOFF.astype(str) + "!", prior, said)
    with pytest.raises(ContractError, match="names a row or a column twice"):
        value_of_question(PAYOFF.set_axis(["a", "a", "b"]), prior, said)
    with pytest.raises(ContractError, match="answers are given for the needs"):
        value_of_question(PAYOFF, prior, said.rename(index={"sour": "bitter"}))
    with pytest.raises(ContractError, match="prior is given for the needs"):
        value_of_question(PAYOFF, pd.Series([0.5, 0.5], ["sour", "sweet"]), said)
    with pytest.raises(ContractError, match="one chance for each of 3 needs"):
        value_of_question(PAYOFF, [0.5, 0.5], said)
    with pytest.raises(ContractError, match="add up to 1") as error:
        value_of_question(PAYOFF.replace(3.0, np.inf), [0.4, 0.5, 0.2], said.replace(0.8, 0.9), cost=-1)
    assert len(error.value.problems) == 4
    assert "answers: the chances do not add up to 1 for the need 'sour'" in error.value.problems
