"""Laws of the path model on random answers, and what it finds where the truth is known."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal, assert_series_equal

from crmlab.models.paths import PathModel

BLOCKS = {"a": ["a1", "a2", "a3"], "b": ["b1", "b2", "b3"], "c": ["c1", "c2", "c3"]}
ARROWS = [("a", "b"), ("a", "c"), ("b", "c")]
SCHEMES = ["centroid", "factorial", "path"]
#: Weights are found to 1e-10.
EXACT = 1e-7


def draw(seed: int, n: int = 300, loading: float = 0.8) -> pd.DataFrame:
    """b = 0.6 a + e, c = 0.2 a + 0.5 b + e, all of variance one; three items of each construct."""
    rng = np.random.default_rng(seed)
    a, e, f = rng.standard_normal((3, n))
    b = 0.6 * a + 0.8 * e
    c = 0.2 * a + 0.5 * b + np.sqrt(1 - 0.04 - 0.25 - 2 * 0.2 * 0.5 * 0.6) * f
    noise = np.sqrt(1 - loading**2)
    constructs = {"a": a, "b": b, "c": c}
    names = [item for items in BLOCKS.values() for item in items]
    return pd.DataFrame({item: loading * constructs[item[0]] + noise * rng.standard_normal(n) for item in names})


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(SCHEMES), st.floats(0.1, 50), st.floats(-20, 20))
def test_units_and_the_order_of_rows_and_items_do_not_matter(seed, scheme, scale, shift):
    answers = draw(seed, 120)
    fit = PathModel(answers, BLOCKS, ARROWS, scheme=scheme).fit()
    moved = answers.sample(frac=1, random_state=seed).assign(a2=lambda t: scale * t["a2"] + shift)
    turned = {name: items[::-1] for name, items in BLOCKS.items()}
    other = PathModel(moved, turned, ARROWS, scheme=scheme).fit()
    assert_series_equal(other.paths, fit.paths, atol=1e-6)
    assert_series_equal(other.loadings.sort_index(), fit.loadings.sort_index(), atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(SCHEMES))
def test_a_block_turned_round_turns_its_arrows(seed, scheme):
    answers = draw(seed, 120)
    fit = PathModel(answers, BLOCKS, ARROWS, scheme=scheme).fit()
    mirrored = answers.assign(**{item: -answers[item] for item in BLOCKS["b"]})
    turned = PathModel(mirrored, BLOCKS, ARROWS, scheme=scheme).fit()
    assert (fit.paths * np.array([-1, 1, -1])).to_numpy() == pytest.approx(turned.paths.to_numpy(), abs=EXACT)
    assert turned.loadings.to_numpy() == pytest.approx(fit.loadings.to_numpy(), abs=EXACT)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(SCHEMES))
def test_scores_have_variance_one_and_give_the_paths(seed, scheme):
    fit = PathModel(draw(seed, 120), BLOCKS, ARROWS, scheme=scheme).fit()
    scores = fit.scores
    assert scores.std(ddof=0).to_numpy() == pytest.approx(np.ones(3), abs=EXACT)
    by_hand = np.linalg.lstsq(scores[["a", "b"]].to_numpy(), scores["c"].to_numpy(), rcond=None)[0]
    assert fit.paths[[("a", "c"), ("b", "c")]].to_numpy() == pytest.approx(by_hand, abs=EXACT)
    residual = scores["c"] - scores[["a", "b"]].to_numpy() @ by_hand
    assert fit.r_squared["c"] == pytest.approx(1 - residual.var(ddof=0), abs=EXACT)
    p = fit.paths
    assert fit.total_effects.loc["a", "c"] == pytest.approx(p["a", "c"] + p["a", "b"] * p["b", "c"], abs=EXACT)
    assert scores.corr().to_numpy() == pytest.approx(fit.correlations.to_numpy(), abs=EXACT)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_single_items_are_a_regression(scheme):
    answers = draw(3)
    blocks = {name: [items[0]] for name, items in BLOCKS.items()}
    fit = PathModel(answers, blocks, ARROWS, scheme=scheme).fit()
    standard = (answers - answers.mean()) / answers.std()
    by_hand = np.linalg.lstsq(standard[["a1", "b1"]].to_numpy(), standard["c1"].to_numpy(), rcond=None)[0]
    assert fit.paths[[("a", "c"), ("b", "c")]].to_numpy() == pytest.approx(by_hand, abs=EXACT)
    assert fit.loadings.tolist() == pytest.approx([1, 1, 1], abs=EXACT)
    assert np.isnan(fit.reliability()["alpha"]).all()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_truth_is_found_but_for_the_noise_of_the_items(scheme):
    """Items with a loading of 0.99 leave a bias of about 1 %; 20,000 people an error of about 0.01."""
    fit = PathModel(draw(1, 20_000, loading=0.99), BLOCKS, ARROWS, scheme=scheme).fit()
    assert fit.paths.to_numpy() == pytest.approx([0.6, 0.2, 0.5], abs=0.03)
    noisy = PathModel(draw(1, 20_000, loading=0.7), BLOCKS, ARROWS, scheme=scheme).fit()
    reliability = 3 * 0.49 / (1 + 2 * 0.49)  # of a sum of three items with this loading
    assert noisy.paths["a", "b"] == pytest.approx(0.6 * reliability, abs=0.02)


def test_alpha_and_rho_of_parallel_items_are_their_reliability():
    table = PathModel(draw(2, 50_000, loading=0.8), BLOCKS, ARROWS).fit().reliability()
    assert table["alpha"].to_numpy() == pytest.approx(np.full(3, 3 * 0.64 / (1 + 2 * 0.64)), abs=0.01)
    assert (table["rho_c"] > table["alpha"]).all()  # loadings on the score itself are too high
    assert table["items"].tolist() == [3, 3, 3]


def test_htmt_is_the_correlation_without_noise():
    htmt = PathModel(draw(2, 50_000, loading=0.7), BLOCKS, ARROWS).fit().htmt()
    assert htmt.loc["a", "b"] == pytest.approx(0.6, abs=0.02)
    assert_frame_equal(htmt, htmt.T)


def test_bootstrap_covers_and_is_reproducible():
    fit = PathModel(draw(5), BLOCKS, ARROWS).fit()
    once, again = (fit.bootstrap(seed=1, n=100) for _ in range(2))
    assert_frame_equal(once, again)
    assert not once.equals(fit.bootstrap(seed=2, n=100))
    assert ((once["low"] < once["estimate"]) & (once["estimate"] < once["high"])).all()
    assert once["estimate"].to_numpy() == pytest.approx(fit.paths.to_numpy())
    assert (once["resamples"] == 100).all()
    total = fit.bootstrap(seed=1, n=100, effect="total")
    assert total.loc[("a", "c"), "estimate"] == pytest.approx(fit.total_effects.loc["a", "c"])
    assert len(total) == 3


def test_bootstrap_errors_are_those_of_repeated_samples():
    """Standard errors against the spread of the estimate over 100 samples of the same size (error of a spread: 7 %)."""
    spread = np.std([PathModel(draw(seed), BLOCKS, ARROWS).fit().paths["b", "c"] for seed in range(100)])
    fits = [PathModel(draw(seed), BLOCKS, ARROWS).fit() for seed in range(5)]
    errors = [fit.bootstrap(seed=1, n=100)["std_error"]["b", "c"] for fit in fits]
    assert np.mean(errors) == pytest.approx(spread, rel=0.2)


def test_answers_are_not_changed():
    answers = draw(1)
    before = answers.copy()
    PathModel(answers, BLOCKS, ARROWS).fit().bootstrap(seed=1, n=20)
    assert_frame_equal(answers, before)
