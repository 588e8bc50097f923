"""Holdouts and tests of two variants: against truth, other ways to compute them, and how often intervals cover it."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from hypothesis import given, settings
from hypothesis import strategies as st

from crmlab.datasets.company import simulate
from crmlab.datasets.company.journeys import completing
from crmlab.onetoone import compare_variants, holdout_effects


@pytest.fixture(scope="module")
def shop():
    return simulate(16_000, seed=6, years=2)


def signed(shop):
    people = shop.truth["journeys"]["customer_id"]
    return pd.Series(people.isin(shop["sign_ups"]["customer_id"]).to_numpy() * 1, people)


@pytest.mark.parametrize("adjust", [True, False])
def test_holdouts_of_the_firm_hold_the_truth(shop, adjust):
    found = holdout_effects(shop["holdouts"], signed(shop), adjust=adjust, level=0.99)
    hidden, held = shop.truth["holdouts"], shop["holdouts"]["held_out"].to_numpy()
    gain = (hidden["with_channel"] - hidden["without_channel"])[~held].groupby(hidden["channel"]).sum()
    assert ((found.table["low"] <= gain) & (gain <= found.table["high"])).all()
    assert found.table["draw_p"].min() > 0.001
    assert found.adjusted is adjust
    assert "99% intervals" in repr(found)


def test_plain_difference_by_hand(shop):
    y, table = signed(shop), shop["holdouts"].query("channel == 'email' and opportunities > 0")
    outcome = table["customer_id"].map(y)
    treated, held = outcome[~table["held_out"]], outcome[table["held_out"]]
    error = np.sqrt(treated.var() / len(treated) + held.var() / len(held))
    row = holdout_effects(shop["holdouts"], y, adjust=False).table.loc["email"]
    assert row["effect"] == pytest.approx(treated.mean() - held.mean())
    assert row["std_error"] == pytest.approx(error)
    assert row["incremental"] == pytest.approx(len(treated) * (treated.mean() - held.mean()))


def test_adjustment_is_a_regression_with_interactions(shop):
    """Lin's regression with covariates centred at the treated, HC2 errors, by statsmodels."""
    y, name = signed(shop), "social"
    ghost = np.log1p(shop["holdouts"].pivot(index="customer_id", columns="channel", values="opportunities"))
    held = shop["holdouts"].pivot(index="customer_id", columns="channel", values="held_out").astype(float)
    rows = ghost[name] > 0
    x = pd.concat([ghost, held.drop(columns=name).add_prefix("held_")], axis=1)[rows]
    treated = 1 - held.loc[rows, name]
    x = x - x[treated == 1].mean()
    design = pd.concat([treated.rename("treated"), x, x.mul(treated, axis=0).add_suffix("_t")], axis=1)
    fit = sm.OLS(y.reindex(design.index), sm.add_constant(design)).fit(cov_type="HC2")
    row = holdout_effects(shop["holdouts"], y).table.loc[name]
    assert row["effect"] == pytest.approx(fit.params["treated"])
    assert row["std_error"] == pytest.approx(fit.bse["treated"])


def lottery(rng, n=500):
    """Interest drives opportunities of one channel and the outcome; effects differ by customer."""
    interest = rng.standard_normal(n)
    tables, gain, chance = [], {}, 0.15 + 0.1 * (interest > 0.5)
    for name, effect in (("a", 0.15), ("b", 0.0)):
        number = rng.poisson(np.exp(0.3 + 0.5 * interest * (name == "b")))
        held = rng.random(n) < 0.3
        here = effect * (1 - 0.5**number)
        chance = chance + here * ~held
        gain[name] = here[~held].sum()
        rows = {"customer_id": range(n), "channel": name, "held_out": held, "opportunities": number}
        tables.append(pd.DataFrame(rows))
    return pd.concat(tables), pd.Series((rng.random(n) < chance) * 1), pd.Series(gain)


@pytest.mark.parametrize("adjust", [True, False])
def test_holdout_intervals_cover_the_expected_gain(adjust):
    rng, inside, runs = np.random.default_rng(12), [], 200
    for _ in range(runs):
        table, outcome, gain = lottery(rng)
        found = holdout_effects(table, outcome, adjust=adjust).table
        inside.append((found["low"] <= gain) & (gain <= found["high"]))
    cover = pd.DataFrame(inside).mean()
    assert ((cover >= 0.91) & (cover <= 0.985)).all()


def test_adjustment_takes_out_noise_where_opportunities_tell_interest():
    rng, n = np.random.default_rng(2), 4_000
    number = 1 + rng.poisson(3, n)
    held = rng.random(n) < 0.3
    table = pd.DataFrame({"customer_id": range(n), "channel": "a", "held_out": held, "opportunities": number})
    money = pd.Series(10.0 * number + rng.standard_normal(n) * 5 + 2 * ~held)
    plain, better = (holdout_effects(table, money, adjust=one).table.loc["a"] for one in (False, True))
    assert better["std_error"] < 0.6 * plain["std_error"]
    assert better["effect"] == pytest.approx(2, abs=0.6)


def test_a_draw_that_depends_on_opportunities_is_seen():
    rng, n = np.random.default_rng(3), 2_000
    number = 1 + rng.poisson(2, n)
    held = rng.random(n) < np.where(number > 3, 0.1, 0.4)
    table = pd.DataFrame({"customer_id": range(n), "channel": "a", "held_out": held, "opportunities": number})
    assert holdout_effects(table, pd.Series(0, range(n))).table["draw_p"].max() < 1e-6


def test_ids_of_text_missing_rows_and_constant_opportunities():
    who = [f"c{i}" for i in range(100)]
    rows = pd.DataFrame({"customer_id": who, "channel": "a", "held_out": [0, 1] * 50, "opportunities": 2})
    both = pd.concat([rows, rows.head(60).assign(channel="b")])  # b: not for everybody
    outcome = pd.Series([1.0, 0.0] * 50, who)
    found = holdout_effects(both, outcome).table
    assert found.loc["a", "incremental"] == pytest.approx(50)
    assert found["draw_p"].tolist() == [1.0, 1.0]
    assert found["treated"].tolist() == [50, 30]


# ------------------------------------------------------------------------------------------------- variants
def test_a_mean_by_row_is_the_clustered_regression():
    rng = np.random.default_rng(4)
    who = rng.integers(0, 80, 400)
    form = np.where(rng.random(400) < 0.5, "A", "B")  # a visitor may meet both
    done = rng.random(400) + 0.3 * (form == "B") + rng.standard_normal(80)[who]
    table = pd.DataFrame({"form": form, "done": done, "who": who})
    found = compare_variants(table, variant="form", outcome="done", cluster="who")
    groups = {"groups": who, "use_correction": False}
    fit = smf.ols("done ~ form", table).fit(cov_type="cluster", cov_kwds=groups)
    assert found.difference.estimate == pytest.approx(fit.params["form[T.B]"])
    wide = found.difference.high - found.difference.low
    assert wide == pytest.approx(2 * 1.959964 * fit.bse["form[T.B]"] * np.sqrt(80 / 79), rel=1e-6)
    assert found.table["rows"].sum() == 400
    assert "design effect" in repr(found)


def test_rows_alone_are_welch():
    table = pd.DataFrame({"form": list("AAAAABBBB"), "money": [1.0, 2, 5, 3, 4, 8, 6, 9, 7], "who": range(9)})
    found = compare_variants(table, variant="form", outcome="money", cluster="who")
    a, b = (table.loc[table["form"] == one, "money"] for one in "AB")
    assert found.difference.estimate == b.mean() - a.mean()
    assert found.design_effect == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("by_visitor", [True, False])
def test_variant_intervals_cover_a_ratio_by_visitor_and_not_by_session(by_visitor):
    """Conversions per session, visitors with habits, drawn by visitor."""
    rng, inside, runs = np.random.default_rng(5), 0, 200
    for _ in range(runs):
        n = 300
        form, number, habit = rng.integers(0, 2, n), rng.integers(1, 15, n), rng.beta(0.6, 2.4, n)
        who = np.repeat(np.arange(n), number)
        done = rng.random(len(who)) < habit[who] + 0.05 * form[who]
        rows = {"form": form[who], "done": done * 1, "who": who if by_visitor else np.arange(len(who))}
        gap = compare_variants(pd.DataFrame(rows), variant="form", outcome="done", cluster="who").difference
        inside += gap.low <= 0.05 <= gap.high
    assert (0.92 <= inside / runs <= 0.98) if by_visitor else inside / runs < 0.8


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_one_row_per_visitor_with_a_denominator_is_the_same_as_its_sessions(seed):
    rng = np.random.default_rng(seed)
    number, form = rng.integers(1, 6, 30), np.arange(30) % 2
    who = np.repeat(np.arange(30), number)
    rows = pd.DataFrame({"form": form[who], "done": rng.random(len(who)), "who": who})
    sums = rows.groupby("who").agg(form=("form", "first"), done=("done", "sum"), visits=("done", "size")).reset_index()
    long = compare_variants(rows, variant="form", outcome="done", cluster="who")
    short = compare_variants(sums, variant="form", outcome="done", cluster="who", per="visits")
    assert short.difference.estimate == pytest.approx(long.difference.estimate)
    assert short.difference.low == pytest.approx(long.difference.low)
    assert short.p_value == pytest.approx(long.p_value)


def test_the_form_of_the_firm(shop):
    log = shop["clicks"]
    opened = log[log["page"] == "form"].drop_duplicates("cookie_id")[["cookie_id", "variant"]]
    done = opened["cookie_id"].isin(log.loc[log["page"] == "confirmation", "cookie_id"]) * 1
    person = opened["cookie_id"].map(shop.truth["cookies"].set_index("cookie_id")["customer_id"])
    table = opened.assign(done=done, person=person)
    found = compare_variants(table, variant="variant", outcome="done", cluster="person", level=0.99).difference
    a, b = completing(shop.truth.scenario.journeys)
    assert found.low <= b - a <= found.high


def test_no_variance_is_no_evidence_unless_there_is_a_difference():
    table = pd.DataFrame({"form": [0, 0, 1, 1], "same": 1.0, "other": [0.0, 0, 1, 1], "who": range(4)})
    same = compare_variants(table, variant="form", outcome="same", cluster="who")
    other = compare_variants(table, variant="form", outcome="other", cluster="who")
    assert (same.p_value, same.design_effect, other.p_value) == (1.0, 1.0, 0.0)
