"""Delivered value and gaps: by hand, against scipy, by simulation, and laws."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_rel
from statsmodels.stats.multitest import multipletests

from crmlab.datasets.company import simulate
from crmlab.relationship.portfolio_views import COSTS, VALUES, delivered_value, gap_scores

RATINGS = pd.DataFrame(
    {"product": [8.0, 6.0, 5.0], "service": [6.0, 6.0, 2.0], "money": [7.0, 4.0, 2.0], "time": [2.0, 4.0, 6.0]},
    index=["ours", "theirs", "cheap"],
)
WEIGHTS = pd.DataFrame({"time": [1.0, 0.0], "money": [2.0, 5.0], "product": [4.0, 4.0], "service": [3.0, 1.0]})


def test_delivered_value_by_hand():
    found = delivered_value(RATINGS, WEIGHTS, costs=["money", "time"])
    first = [0.4 * 8 + 0.3 * 6 - 0.2 * 7 - 0.1 * 2, 0.4 * 6 + 0.3 * 6 - 0.2 * 4 - 0.1 * 4, 2 + 0.6 - 0.4 - 0.6]
    second = [0.4 * 8 + 0.1 * 6 - 0.5 * 7, 0.4 * 6 + 0.1 * 6 - 0.5 * 4, 0.4 * 5 + 0.1 * 2 - 0.5 * 2]
    assert found.respondents.to_numpy() == pytest.approx(np.array([first, second]))
    assert found.table["delivered"].to_dict() == pytest.approx(
        dict(zip(RATINGS.index, np.mean([first, second], axis=0), strict=True))
    )
    assert found.table["first_choice"].to_dict() == {"ours": 0.5, "theirs": 0.0, "cheap": 0.5}
    assert found.table.index[0] == "theirs"
    assert (-found.table["delivered"]).is_monotonic_increasing
    assert "3 offers to 2 respondents" in repr(found)


def test_parts_add_up_and_the_line_goes_through_the_mean_offer():
    found = delivered_value(RATINGS, WEIGHTS, costs=["money", "time"])
    table = found.table.loc[RATINGS.index]
    assert found.parts.sum(axis=1).tolist() == pytest.approx(table["delivered"].tolist())
    assert (found.parts[["money", "time"]] <= 0).all().all()
    assert table["relative_value"].mean() == pytest.approx(1)
    assert table["relative_cost"].mean() == pytest.approx(1)
    above = table["delivered"] - table["delivered"].mean()
    assert (table["above_line"] * table["total_value"].mean()).tolist() == pytest.approx(above.tolist())


def test_the_courses_components_are_the_default():
    names = [*VALUES, *COSTS]
    ratings = pd.DataFrame(np.arange(16.0).reshape(2, 8), ["x", "y"], names)
    found = delivered_value(ratings, pd.DataFrame([[1.0] * 8], columns=names))
    assert found.table["delivered"].to_dict() == {"x": (6 - 22) / 8, "y": (38 - 54) / 8}
    assert found.table["first_choice"].tolist() == [0.5, 0.5]  # a tie is shared
    assert found.table[["low", "high"]].isna().all().all()  # one respondent has no interval


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), respondents=st.integers(2, 30))
def test_scale_of_weights_and_order_are_nothing(seed, respondents):
    rng = np.random.default_rng(seed)
    names = [*VALUES, *COSTS]
    ratings = pd.DataFrame(rng.uniform(1, 10, (4, 8)), list("abcd"), names)
    weights = pd.DataFrame(rng.dirichlet(np.ones(8), respondents), columns=names)
    found = delivered_value(ratings, weights)
    scale = rng.uniform(1, 100, respondents)[:, None]
    other = delivered_value(ratings.sample(frac=1, random_state=seed), (weights * scale)[names[::-1]])
    pd.testing.assert_frame_equal(other.table, found.table, check_exact=False, rtol=1e-9)
    assert found.table["first_choice"].sum() == pytest.approx(1)
    assert ((found.table["low"] < found.table["delivered"]) & (found.table["delivered"] < found.table["high"])).all()


def two_views(seed: int, n: int = 40, gap=(0.5, 0.0, 0.0)):
    rng = np.random.default_rng(seed)
    theirs = rng.normal(7, 1, (n, 3))
    ours = 0.5 * theirs + 3.5 + np.asarray(gap) + rng.normal(0, 0.8, (n, 3))
    return (pd.DataFrame(x, columns=["quality", "trust", "price"]) for x in (ours, theirs))


def test_gaps_against_scipy():
    ours, theirs = two_views(1)
    found = gap_scores(ours, theirs[["price", "trust", "quality"]])
    for item in ours:
        test = ttest_rel(ours[item], theirs[item])
        assert found.table["p_value"][item] == pytest.approx(test.pvalue)
        limits = test.confidence_interval(1 - 0.05 / 3)
        assert found.table.T[item][["low", "high"]].tolist() == pytest.approx([limits.low, limits.high])
        assert found.table["correlation"][item] == pytest.approx(np.corrcoef(ours[item], theirs[item])[0, 1])
    whole = ttest_rel(ours.mean(axis=1), theirs.mean(axis=1)).confidence_interval(0.95)
    assert [found.overall.low, found.overall.high] == pytest.approx([whole.low, whole.high])
    assert found.pairs == 40
    assert "all items together at 95%" in repr(found)


@pytest.mark.parametrize("seed", range(5))
def test_p_values_are_holms(seed):
    ours, theirs = two_views(seed, gap=(0.4, 0.3, 0.2))
    table = gap_scores(ours, theirs).table
    expected = multipletests(table["p_value"], method="holm")[1]
    assert table["p_holm"].tolist() == pytest.approx(expected.tolist())


def test_turning_the_views_round_turns_the_sign():
    ours, theirs = two_views(3)
    one, other = gap_scores(ours, theirs).table, gap_scores(theirs, ours).table
    assert other["gap"].tolist() == pytest.approx((-one["gap"]).tolist())
    assert other["low"].tolist() == pytest.approx((-one["high"]).tolist())
    assert other["correlation"].tolist() == pytest.approx(one["correlation"].tolist())


def test_intervals_hold_for_all_items_together():
    truth, held = np.array([0.5, 0.0, -0.3]), 0
    for seed in range(200):
        table = gap_scores(*two_views(seed, n=25, gap=tuple(truth))).table
        held += int(((table["low"] <= truth) & (truth <= table["high"])).all())
    assert held / 200 > 0.95 - 2.6 * np.sqrt(0.95 * 0.05 / 200)  # 99 % of the draws of 200; fixed seeds


def test_simulated_staff_are_too_rosy_and_know_something():
    firm = simulate(4_000, seed=1, scenario="maker")
    items = ["quality", "satisfaction", "trust", "commitment"]
    surveys = firm["surveys"].query("answered").sort_values("date").drop_duplicates("customer_id", keep="last")
    said = pd.DataFrame({item: surveys.filter(regex=f"^{item}_").mean(axis=1) for item in items})
    said.index = pd.MultiIndex.from_frame(surveys[["customer_id", "date"]])
    views = firm["staff_views"].set_index(["customer_id", "date"])[items]
    both = views.index.intersection(said.index)
    found = gap_scores(views.loc[both], said.loc[both])
    assert firm.truth.scenario.surveys is not None
    assert firm.truth.scenario.surveys.optimism > 0
    assert found.overall.low > 0
    assert (found.table["correlation"] < 0.75).all()  # the staff's insight is 0.5, and both views carry error
    assert (found.table["correlation_high"] > 0.2).all()
