"""Effects of joining: against another implementation, textbook regressions, hand-made tables, and simulated truth."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from hypothesis import given, settings
from hypothesis import strategies as st

from crmlab.datasets.company import scenario, simulate
from crmlab.relationship.programme import group_time_effects
from crmlab.relationship.programme_averages import effects_by, encouraged_effect, overall_effect, two_way_effect
from crmlab.relationship.programme_panel import joining_panel

#: The other implementation prints six digits.
PRINTED = 6e-7
#: Sums of a few thousand floats in another order.
EXACT = 1e-9


def made(seed: int = 25, n: int = 240, periods: int = 6) -> tuple[pd.DataFrame, pd.Series, pd.DataFrame]:
    """A panel in which a covariate drives both trend and joining; the peer saw the very same one."""
    rng = np.random.default_rng(seed)
    x, u = rng.standard_normal(n), rng.random(n)
    g = np.where(u < 0.25, 2, np.where(u < 0.5, 3, np.where(u < 0.7, 5, 0)))
    g = np.where((x > 0.3) & (rng.random(n) < 0.3), 3, g)
    t = np.arange(periods)
    y = rng.standard_normal((n, 1)) + 0.3 * t + 0.2 * np.outer(x, t) + rng.standard_normal((n, periods))
    y += np.where((g[:, None] > 0) & (t >= g[:, None]), 0.5 + 0.3 * (t - g[:, None]), 0.0)
    return pd.DataFrame(y), pd.Series(np.where(g > 0, g, np.nan)), pd.DataFrame({"x": x})


# Made with moderndid 0.2.0 (a port of R's did 2.1 and DRDID): att_gt(..., base_period="universal") and aggte, on the
# panel above. Errors there are divided by n and not n - 1 customers, hence the factor in the test.
PEER = {
    "not_yet": {
        "cells": {(2, 2): (0.475994, 0.253156), (3, 1): (0.236747, 0.221599), (5, 5): (0.447426, 0.263445)},
        "events": {-3: (-0.296817, 0.163102), 0: (0.569013, 0.140642), 2: (1.358731, 0.198681)},
        "cohorts": {2: (0.819090, 0.201131), 3: (1.203671, 0.203343)},
        "periods": {3: (0.725028, 0.180348), 5: (1.068826, 0.210109)},
        "overall": (0.958212275553576, 0.1423832028457869),
    },
    "never": {
        "cells": {(2, 2): (0.258814, 0.296411), (3, 3): (0.871953, 0.268883)},
        "events": {-2: (0.184771, 0.153832), 1: (1.167530, 0.194830)},
        "cohorts": {2: (0.766781, 0.224514), 3: (1.293788, 0.226789)},
        "periods": {4: (1.300553, 0.205614)},
        "overall": (0.9763372682485292, 0.15180534656419106),
    },
    "covariate": {
        "cells": {(2, 2): (0.535759, 0.250663), (3, 5): (1.217883, 0.273510), (5, 2): (-0.292328, 0.249399)},
        "overall": (0.9029366040822637, 0.13085530290901182),
    },
}


@pytest.mark.parametrize("case", PEER)
def test_agrees_with_another_implementation(case):
    outcome, joined, x = made()
    options = {"covariates": x} if case == "covariate" else {"controls": case}
    effects = group_time_effects(outcome, joined, **options)
    shrink = np.sqrt((len(outcome) - 1) / len(outcome))
    cells = effects.table.set_index(["cohort", "period"])
    found = {"cells": cells} | {
        name: effects_by(effects, by).table  # type: ignore[arg-type]
        for name, by in {"events": "event_time", "cohorts": "cohort", "periods": "period"}.items()
    }
    for name, table in found.items():
        for key, (estimate, se) in PEER[case].get(name, {}).items():  # type: ignore[attr-defined]
            assert table.loc[key, "estimate"] == pytest.approx(estimate, abs=PRINTED)
            assert table.loc[key, "se"] * shrink == pytest.approx(se, abs=PRINTED)
    overall = overall_effect(effects)
    assert overall.estimate == pytest.approx(PEER[case]["overall"][0], abs=EXACT)  # type: ignore[index]
    half = (overall.high - overall.low) / 2 / 1.959963984540054 * shrink
    assert half == pytest.approx(PEER[case]["overall"][1], abs=EXACT)  # type: ignore[index]


def test_one_cohort_and_two_periods_are_the_textbook_regression():
    outcome, joined, _ = made()
    both = outcome.loc[joined.isna() | (joined == 2), [1, 2]]
    effects = group_time_effects(both, joined[both.index])
    long = both.rename_axis("customer").reset_index().melt("customer", var_name="t", value_name="y")
    long["member"] = long["customer"].map(joined).notna().astype(int)
    long["after"] = (long["t"] == 2).astype(int)
    fit = smf.ols("y ~ member * after", long).fit(cov_type="cluster", cov_kwds={"groups": long["customer"]})
    assert effects.table["estimate"].item() == pytest.approx(fit.params["member:after"], abs=EXACT)
    # statsmodels corrects for four regression coefficients: (2n - 1) / (2n - 4) on the variance
    n = len(long)
    assert effects.table["se"].item() == pytest.approx(fit.bse["member:after"] * np.sqrt((n - 4) / (n - 1)), rel=1e-6)


def test_two_way_effect_is_the_regression_with_dummies_and_its_weights_are_what_it_averages():
    outcome, joined, _ = made(n=60)
    long = outcome.rename_axis("i").reset_index().melt("i", var_name="t", value_name="y")
    long["d"] = (long["t"] >= long["i"].map(joined).fillna(99)).astype(int)
    fit = smf.ols("y ~ d + C(i) + C(t)", long).fit()
    assert two_way_effect(outcome, joined).effect.estimate == pytest.approx(fit.params["d"], abs=EXACT)
    # without noise and with trends in parallel, the coefficient is the weighted sum of the true effects
    t, g = np.arange(6), joined.to_numpy()
    effect = np.where(t >= g[:, None], g[:, None] * 0.1 + (t - np.nan_to_num(g)[:, None]) ** 2, 0.0)
    exact = pd.DataFrame(np.arange(60)[:, None] * 0.1 + t**1.5 + effect)
    result = two_way_effect(exact, joined)
    assert result.weights["weight"].sum() == pytest.approx(1, abs=EXACT)
    true = result.weights["cohort"] * 0.1 + (result.weights["period"] - result.weights["cohort"]) ** 2
    assert (result.weights["weight"] * true).sum() == pytest.approx(result.effect.estimate, abs=1e-7)


def test_without_never_members_and_with_growing_effects_two_way_has_the_wrong_sign_and_group_time_is_right():
    joined = pd.Series(np.repeat([1, 4], 10))
    t, g = np.arange(8), joined.to_numpy()[:, None]
    outcome = pd.DataFrame(np.arange(20)[:, None] + 1.0 * t + np.where(t >= g, 1.0 + 3 * (t - g), 0.0))
    naive = two_way_effect(outcome, joined)
    assert naive.effect.estimate < 0
    assert naive.negative > 0.1
    effects = group_time_effects(outcome, joined)
    seen = effects.table[effects.table["event_time"] >= 0]
    assert seen["estimate"].tolist() == pytest.approx((1.0 + 3 * seen["event_time"]).tolist(), abs=EXACT)
    assert seen["period"].max() == 3  # from period 4 on nobody is left to compare with
    assert "left out" in repr(effects)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 999), level=st.floats(-5, 5), slope=st.floats(-5, 5), scale=st.floats(0.1, 5))
def test_levels_and_common_trends_do_not_matter_and_units_do(seed, level, slope, scale):
    outcome, joined, _ = made(seed=seed, n=60)
    rng = np.random.default_rng(seed)
    moved = (outcome + level * rng.standard_normal((60, 1)) + slope * np.arange(6) ** 2) * scale
    for one in ("not_yet", "never"):
        before, after = (group_time_effects(y, joined, controls=one).table for y in (outcome, moved))
        assert np.allclose(after["estimate"], before["estimate"] * scale, atol=1e-7)
    shuffled = moved.sample(frac=1, random_state=seed)
    again = group_time_effects(shuffled, joined[shuffled.index]).table
    pd.testing.assert_frame_equal(again, group_time_effects(moved, joined).table)


def test_intervals_cover_the_truth_when_trends_are_parallel():
    """80 panels of 120 customers: 95 % intervals hold in 88 to 100 % of them (3 standard errors)."""
    rng, held, together = np.random.default_rng(1), [], []
    t = np.arange(7)
    for _ in range(80):
        joined = pd.Series(rng.choice([3, 4, np.nan], 120, p=[0.2, 0.3, 0.5]))
        g = joined.fillna(99).to_numpy()[:, None]
        walk = rng.standard_normal((120, 1)) + rng.standard_normal((120, 7)).cumsum(axis=1) * 0.5
        outcome = pd.DataFrame(walk + 0.2 * t + np.where(t >= g, 0.4 + 0.1 * (t - g), 0))
        effects = group_time_effects(outcome, joined)
        found = overall_effect(effects)
        sizes = effects.table.query("event_time >= 0")
        held.append(found.low <= np.average(0.4 + 0.1 * sizes["event_time"], weights=sizes["customers"]) <= found.high)
        study = effects_by(effects).table
        true = np.where(study.index >= 0, 0.4 + 0.1 * study.index, 0.0)
        together.append(((study["band_low"] <= true) & (true <= study["band_high"])).all())
    assert np.mean(held) >= 0.88
    assert np.mean(together) >= 0.88


def test_covariates_mend_trends_that_differ_by_them():
    """Customers with high x grow faster and join more; the doubly robust effect is near 1, the plain one is not."""
    rng, n = np.random.default_rng(2), 4_000
    x = rng.standard_normal(n)
    joined = pd.Series(np.where(rng.random(n) < 1 / (1 + np.exp(-x)), 2.0, np.nan))
    y = rng.standard_normal((n, 4)) + np.outer(x, np.arange(4))
    y[joined.notna(), 2:] += 1
    plain = overall_effect(group_time_effects(pd.DataFrame(y), joined))
    mended = overall_effect(group_time_effects(pd.DataFrame(y), joined, covariates=pd.DataFrame({"x": x})))
    assert plain.estimate > 1.5
    assert mended.low < 1 < mended.high
    assert mended.high - mended.low < 0.25


def test_anticipation_moves_the_base_and_the_mean_base_uses_all_periods_before():
    outcome, joined, _ = made()
    early = outcome.add(np.where(np.arange(6) == joined.to_numpy()[:, None] - 1, 2.0, 0.0))
    spoiled = overall_effect(group_time_effects(early, joined, controls="never"))
    spared = overall_effect(group_time_effects(early, joined, controls="never", anticipation=1))
    clean = overall_effect(group_time_effects(outcome, joined, controls="never", anticipation=1))
    assert spared.estimate == pytest.approx(clean.estimate, abs=EXACT)
    assert spoiled.estimate < clean.estimate - 1.5
    mean = group_time_effects(outcome, joined, base="mean", controls="never").table
    assert (mean["event_time"] >= 0).all()
    never, three = outcome[joined.isna()], outcome[joined == 3]
    by_hand = (three[4] - three[[0, 1, 2]].mean(axis=1)).mean() - (never[4] - never[[0, 1, 2]].mean(axis=1)).mean()
    assert mean.set_index(["cohort", "period"]).loc[(3, 4), "estimate"] == pytest.approx(by_hand, abs=EXACT)


def test_clusters_widen_limits_when_groups_share_luck():
    rng = np.random.default_rng(3)
    group = np.repeat(np.arange(40), 20)
    joined = pd.Series(np.where(group < 20, 2.0, np.nan))
    outcome = pd.DataFrame(rng.standard_normal((800, 4)) + rng.standard_normal((40, 4))[group])
    alone = group_time_effects(outcome, joined).table["se"]
    shared = group_time_effects(outcome, joined, clusters=pd.Series(group)).table["se"]
    assert (shared > 2.5 * alone).all()


def grocer(seed: int, times: float, customers: int = 15_000):
    base = scenario("grocer")
    assert base.programme is not None
    effect = {need: size * times for need, size in base.programme.effect.items()}
    programme = dataclasses.replace(base.programme, effect=effect)
    return simulate(customers, seed=seed, scenario=dataclasses.replace(base, programme=programme))


def study_of(firm):
    """Panel, opening period, and caused orders in the panel's shape."""
    orders, joined = firm["orders"], firm["members"].set_index("customer_id")["joined_on"]
    region = firm["customers"].set_index("customer_id")["region"]
    opened = joined.groupby(region.reindex(joined.index)).min()
    begin = opened.min() - pd.Timedelta(days=120)
    panel = joining_panel(orders, joined, begin=begin, measure="orders")
    causes = firm.truth["orders"].query("cause == 'programme'")["order_id"]
    extra = orders[orders["order_id"].isin(causes) & orders["customer_id"].isin(panel.outcome.index)]
    cells = extra.groupby(["customer_id", (extra["date"].dt.normalize() - begin).dt.days // 30]).size().unstack()
    caused = cells.reindex(index=panel.outcome.index, columns=panel.outcome.columns).fillna(0.0)
    return panel, region.reindex(panel.outcome.index).map((opened - begin).dt.days // 30).astype(float), caused


def test_in_the_simulated_firm_the_lot_covers_the_truth_and_self_timed_joining_does_not():
    """Six firms with three times the effect: of six 95 % intervals 5 or more hold; of the self-timed ones 1 or none."""
    lot, naive = [], []
    for seed in range(6):
        panel, opening, caused = study_of(grocer(seed, 3.0))
        found = encouraged_effect(panel.outcome, panel.exposure, opening)
        open_ = (panel.outcome.columns.to_numpy() >= opening.to_numpy()[:, None]) & (
            panel.outcome.columns.to_numpy() < opening.max()
        )
        # the truth by cells, each weighted as in the estimate by the customers of its region
        true = caused.to_numpy()[open_].sum() / panel.exposure.to_numpy()[open_].sum()
        lot.append(found.complier.low <= true <= found.complier.high)
        effects = group_time_effects(panel.outcome, panel.joined, controls="never")
        interval = overall_effect(effects, last=8)
        when = panel.joined.to_numpy()[:, None]
        inside = (panel.outcome.columns.to_numpy() >= when) & (panel.outcome.columns.to_numpy() <= when + 8)
        naive.append(interval.low <= caused.to_numpy()[inside].mean() <= interval.high)
    assert sum(lot) >= 5
    assert sum(naive) <= 1


def test_a_programme_that_does_nothing_has_members_who_spend_more_and_a_lot_that_finds_nothing():
    panel, opening, caused = study_of(grocer(1, 0.0))
    assert caused.to_numpy().sum() == 0
    member = panel.joined.notna()
    assert panel.outcome[member].to_numpy().mean() > 3 * panel.outcome[~member].to_numpy().mean()
    found = encouraged_effect(panel.outcome, panel.exposure, opening)
    assert found.complier.low < 0 < found.complier.high
    assert "compliers" in repr(found)


def test_the_effect_on_compliers_is_two_stage_least_squares():
    """Two groups and one invitation: the ratio is that of a regression of the change, with the group as instrument."""
    rng = np.random.default_rng(4)
    invited = pd.Series(np.where(np.arange(400) < 200, 2.0, np.nan))
    joins = (rng.random(400) < 0.4) & invited.notna().to_numpy()
    exposure = pd.DataFrame(np.where(np.arange(3) == 2, joins[:, None] * 0.8, 0.0))
    outcome = pd.DataFrame(rng.standard_normal((400, 3))) + 2 * exposure
    found = encouraged_effect(outcome, exposure, invited)
    change, z = outcome[2] - outcome[[0, 1]].mean(axis=1), invited.notna()
    ratio = (change[z].mean() - change[~z].mean()) / exposure.loc[z, 2].mean()
    assert found.complier.estimate == pytest.approx(ratio, abs=EXACT)
    assert found.complier.low < 2 < found.complier.high
    # Fieller's limits: the outcome less limit times membership just touches zero
    for limit in (found.complier.low, found.complier.high):
        rest = encouraged_effect(outcome - limit * exposure, exposure, invited).intention
        assert min(abs(rest.low), abs(rest.high)) == pytest.approx(0, abs=1e-6)


def test_an_invitation_that_nobody_takes_has_no_limits():
    outcome, joined, _ = made()
    rng = np.random.default_rng(5)
    exposure = pd.DataFrame(rng.random(outcome.shape))
    found = encouraged_effect(outcome, exposure, joined)
    assert found.first_stage_f < 10
    assert np.isinf(found.complier.high) or found.complier.high - found.complier.low > 5


def test_panel_counts_what_it_says():
    days = ["01-01", "01-10", "01-10", "02-25", "01-02", "02-01", "01-03", "02-27"]
    log = pd.DataFrame(
        {
            "customer_id": ["a", "a", "a", "a", "b", "c", "d", "d"],
            "date": pd.to_datetime([f"2024-{day}" for day in days]),
            "amount": [5.0, 1.0, 2.0, 4.0, 3.0, 9.0, 1.0, 8.0],
            "order_id": [1, 2, 2, 3, 4, 5, 6, 7],
        }
    )
    joined = pd.Series(pd.to_datetime(["2024-01-20", "2024-01-04"]), index=["a", "d"])
    panel = joining_panel(log, joined, begin="2024-01-06", days=10, measure="orders")
    of_a = panel.outcome.index.get_loc("a")
    assert panel.outcome.to_numpy()[of_a].tolist() == [
        1,
        0,
        0,
        0,
        0,
    ]  # two rows of one order; the last period is not whole
    assert panel.outcome.index.tolist() == ["a", "b"]
    assert panel.joined.loc["a"] == 1
    assert np.isnan(panel.joined.loc["b"])
    assert panel.exposure.to_numpy()[of_a].tolist() == pytest.approx([0, 0.6, 1, 1, 1])
    assert dict(panel.left_out) == {
        "customers whose first purchase came later": 1,
        "customers who had joined before": 1,
    }
    money = joining_panel(log.drop(columns="order_id"), joined, begin="2024-01-06", days=10)
    assert money.outcome.loc["a", 0] == 3.0
    assert "money" in repr(money)
