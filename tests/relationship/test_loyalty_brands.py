"""Brands against the Dirichlet norm: the formulas, an independent one, false alarms, power, refusals."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from crmlab.datasets import load
from crmlab.errors import ContractError
from crmlab.models.brands import NBDDirichlet
from crmlab.relationship.brand_loyalty import MEASURES, double_jeopardy

SHARES = pd.Series({"big": 0.5, "middle": 0.3, "small": 0.15, "tiny": 0.05})


def panel(seed: int, households: int = 600, s: float = 1.5, mean: float = 8.0) -> pd.DataFrame:
    """Purchases of a market that is the norm to the letter; about one household in ten buys nothing."""
    rng = np.random.default_rng(seed)
    totals = rng.negative_binomial(1.5, 1.5 / (1.5 + mean), households)
    return pd.DataFrame(rng.multinomial(totals, rng.dirichlet(s * SHARES, households)), columns=SHARES.index)


def test_observed_by_hand():
    bought = pd.DataFrame({"A": [3, 0, 2, 1, 0, 0], "B": [0, 4, 1, 1, 2, 0]})
    table = double_jeopardy(bought, seed=1, n=100).table["observed"]
    assert table["A"].to_dict() == pytest.approx(
        {"penetration": 3 / 5, "purchases_per_buyer": 2, "share_of_requirements": 6 / 8, "sole_buyers": 1 / 3}
    )
    assert table["B"].to_dict() == pytest.approx(
        {"penetration": 4 / 5, "purchases_per_buyer": 2, "share_of_requirements": 8 / 11, "sole_buyers": 2 / 4}
    )


def test_the_norm_is_that_of_the_nbd_dirichlet():
    """With many households the norm given their counts agrees with the model's closed form over all counts (2 %)."""
    bought = panel(4, households=15_000)
    found = double_jeopardy(bought, seed=1, n=100)
    buyers = bought[bought.sum(axis=1) > 0]
    model = NBDDirichlet.from_purchases(bought)
    shares = bought.sum() / bought.to_numpy().sum()
    closed = NBDDirichlet(model.M, model.K, found.S * shares, found.S).performance()
    reach = len(buyers) / len(bought)
    expected = found.table["expected"].unstack()
    assert pytest.approx(1.5, rel=0.05) == found.S
    for brand in SHARES.index:
        assert expected.loc[brand, "penetration"] * reach == pytest.approx(closed.loc[brand, "penetration"], rel=0.02)
        for measure in MEASURES[1:]:
            assert expected.loc[brand, measure] == pytest.approx(closed.loc[brand, measure], rel=0.02)


@pytest.mark.parametrize("name", ["catsup", "yogurt", "cracker"])
def test_laws_on_real_panels(name):
    shelf = load("scanner_panels")[name]
    found = double_jeopardy(pd.crosstab(shelf["customer_id"], shelf["brand"]), seed=1, n=100)
    expected = found.table["expected"].unstack().loc[found.table.index.get_level_values("brand").unique()]
    share = found.table["share"].groupby(level="brand", sort=False).first()
    assert share.is_monotonic_decreasing
    for measure in MEASURES:  # double jeopardy: the norm falls with size in every measure
        assert expected[measure].is_monotonic_decreasing
    observed = found.table["observed"].unstack()
    assert (observed["penetration"] * observed["purchases_per_buyer"]).to_numpy() == pytest.approx(
        (share.reindex(observed.index) * len(shelf) / found.households).to_numpy()
    )
    inside = found.table["observed"].between(found.table["low"], found.table["high"])
    assert (inside == (found.table["verdict"] == "within")).all()
    assert (found.table["excess"] == found.table["observed"] - found.table["expected"]).all()


def test_false_alarms_are_rare():
    """Forty markets that are the norm: about 5 % of the verdicts may leave the range of 95 % (4 brands, 3 measures)."""
    verdicts = pd.concat([double_jeopardy(panel(seed, 300), seed=seed, n=100).table["verdict"] for seed in range(40)])
    verdicts = verdicts.drop("sole_buyers", level="measure")
    assert (verdicts != "within").mean() < 0.08


def test_a_loyal_niche_is_found():
    """A tenth of the households buy nothing but one brand: more loyal and less bought than its size predicts."""
    rng = np.random.default_rng(6)
    bought = panel(5, 600)
    niche = rng.random(600) < 0.1
    bought.loc[niche] = 0
    bought.loc[niche, "small"] = rng.poisson(8, niche.sum()) + 1
    table = double_jeopardy(bought, seed=1, n=200).table
    assert table.loc[("small", "share_of_requirements"), "verdict"] == "above"
    assert table.loc[("small", "sole_buyers"), "verdict"] == "above"


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000))
def test_order_of_rows_and_brands_and_silent_households_do_not_matter(seed):
    bought = panel(seed, 150)
    once = double_jeopardy(bought, seed=1, n=100).table[["share", "observed", "expected"]]
    other = bought[bought.columns[::-1]].sample(frac=1, random_state=seed).query("big + middle + small + tiny > 0")
    again = double_jeopardy(other, seed=2, n=100).table[["share", "observed", "expected"]]
    assert_frame_equal(again.sort_index(), once.sort_index(), rtol=1e-5)


def test_same_seed_same_range():
    one, two = (double_jeopardy(panel(1), seed=3, n=100).table for _ in range(2))
    assert_frame_equal(one, two)
    assert not one.equals(double_jeopardy(panel(1), seed=4, n=100).table)
    assert "households, S = " in repr(double_jeopardy(panel(1), seed=3, n=100))


@pytest.mark.parametrize(
    ("bought", "words"),
    [
        (pd.DataFrame({"A": [1, 2], "B": [-1, 0]}), "B: not a whole number"),
        (pd.DataFrame({"A": [1, 2], "B": [0.5, 0]}), "B: not a whole number"),
        (pd.DataFrame({"A": [1, None], "B": [1, 0]}), "A: not a whole number"),
        (pd.DataFrame({"A": [1, 2], "B": [0, 0]}), "B: never bought"),
        (pd.DataFrame({"A": [1, 2]}), "two brands are needed"),
    ],
)
def test_purchases_that_are_none_are_refused(bought, words):
    with pytest.raises(ContractError, match=words):
        double_jeopardy(bought, seed=1)


def test_options_are_checked():
    with pytest.raises(ContractError, match="level must lie strictly between 0 and 1"):
        double_jeopardy(panel(1), seed=1, level=1.0)
    with pytest.raises(ContractError, match="at least 100 panels, got n=10"):
        double_jeopardy(panel(1), seed=1, n=10)
