"""Gains: a hand-made table, scikit-learn's AUC, and laws that hold for any score with ties."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from crmlab.database import gains

EXACT = 1e-12  # sums of a few small numbers, no estimation


@pytest.fixture
def ten():
    """Ten customers with a tie of four in the middle; those who respond bring 10, 20, 30, 40 in money."""
    score = [9, 8, 5, 5, 5, 5, 3, 2, 2, 1]
    response = [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]
    value = [10.0, 20, 30, 0, 0, 40, 0, 0, 0, 0]
    return gains(score, response, value)


def test_the_curve_has_one_row_per_score(ten):
    expected = pd.DataFrame(
        {
            "score": [9.0, 8, 5, 3, 2, 1],
            "customers": [1, 1, 4, 1, 2, 1],
            "marginal_rate": [1.0, 1, 0.5, 0, 0, 0],
            "contacted": [1, 2, 6, 7, 9, 10],
            "depth": [0.1, 0.2, 0.6, 0.7, 0.9, 1.0],
            "responses": [1, 2, 4, 4, 4, 4],
            "response_rate": [1, 1, 4 / 6, 4 / 7, 4 / 9, 0.4],
            "gain": [0.25, 0.5, 1, 1, 1, 1],
            "cumulative_lift": [2.5, 2.5, 1 / 0.6, 1 / 0.7, 1 / 0.9, 1.0],
            "value": [10.0, 30, 100, 100, 100, 100],
        }
    )
    pd.testing.assert_frame_equal(ten.curve, expected, rtol=EXACT)
    assert set(ten.definitions) == set(ten.curve)
    assert (ten.customers, ten.response_rate, ten.value_per_response) == (10, 0.4, 25.0)


def test_inside_a_tie_the_curve_is_a_straight_line(ten):
    found = ten.at([0.3, 0.4])
    assert found["responses"].tolist() == pytest.approx([2.5, 3.0], rel=EXACT)
    assert found["value"].tolist() == pytest.approx([47.5, 65.0], rel=EXACT)
    assert found["response_rate"].tolist() == pytest.approx([2.5 / 3, 3 / 4], rel=EXACT)


def test_decile_table_shares_a_tie_out_in_proportion(ten):
    table = ten.deciles(5)
    assert table["decile"].tolist() == [1, 2, 3, 4, 5]
    assert table["lowest_score"].tolist() == [8, 5, 5, 2, 1]
    assert table["customers"].tolist() == [2.0] * 5
    assert table["responses"].tolist() == pytest.approx([2, 1, 1, 0, 0], rel=EXACT)
    assert table["decile_lift"].tolist() == pytest.approx([2.5, 1.25, 1.25, 0, 0], rel=EXACT)
    assert table["gain"].tolist() == pytest.approx([0.5, 0.75, 1, 1, 1], rel=EXACT)
    assert table["value"].tolist() == pytest.approx([30, 65, 100, 100, 100], rel=EXACT)
    assert ten.deciles(3)["customers"].tolist() == pytest.approx([10 / 3] * 3)


def test_auc_of_a_hand_made_list(ten):
    # 24 pairs: 22 are won (6 + 6 + 4 + 4 and half of the 2 x 2 ties: 2)
    assert ten.auc == pytest.approx(22 / 24, rel=EXACT)
    assert ten.gini == pytest.approx(2 * 22 / 24 - 1, rel=EXACT)
    assert "AUC 0.917" in repr(ten)


PEOPLE = st.lists(st.tuples(st.integers(-4, 4), st.booleans(), st.integers(0, 9)), min_size=3, max_size=60)


def columns(people):
    score, response, value = (np.array(one, dtype=float) for one in zip(*people, strict=True))
    assume(len(set(score)) > 1)
    assume(0 < response.sum() < len(response))
    return score, response, value


@settings(max_examples=30, deadline=None)
@given(people=PEOPLE, seed=st.integers(0, 99))
def test_row_order_is_nothing_and_auc_is_that_of_scikit_learn(people, seed):
    score, response, value = columns(people)
    found = gains(score, response, value)
    assert found.auc == pytest.approx(roc_auc_score(response, score), abs=EXACT)
    shuffled = np.random.default_rng(seed).permutation(len(score))
    again = gains(score[shuffled], response[shuffled], value[shuffled])
    pd.testing.assert_frame_equal(found.curve, again.curve)
    same = gains(2 * score + 1, response, value).curve
    pd.testing.assert_frame_equal(found.curve.drop(columns="score"), same.drop(columns="score"))
    assert gains(-score, response).auc == pytest.approx(1 - found.auc, abs=EXACT)


@settings(max_examples=30, deadline=None)
@given(people=PEOPLE)
def test_totals_and_limits(people):
    score, response, value = columns(people)
    found = gains(score, response, value)
    last = found.curve.iloc[-1]
    assert (last["depth"], last["gain"], last["cumulative_lift"]) == (1.0, 1.0, 1.0)
    assert last["value"] == pytest.approx(value @ response)
    table = found.deciles(3)
    assert table["responses"].sum() == pytest.approx(response.sum())
    assert table["decile_lift"].mean() == pytest.approx(1)
    assert found.curve["gain"].is_monotonic_increasing
    assert found.curve["depth"].is_monotonic_increasing


def test_expectation_under_random_order_inside_a_tie():
    """The straight line is what random orders give in the mean."""
    response = np.array([1, 1, 0, 0, 0, 1, 0, 0])
    score = np.array([3, 2, 2, 2, 2, 2, 1, 1])
    rng, reached = np.random.default_rng(1), []
    for _ in range(4_000):
        order = np.lexsort((rng.random(8), -score))
        reached.append(response[order[:4]].sum())
    # standard error of the mean of 4,000 draws of a number below 3 is below 0.02
    assert gains(score, response).at(0.5)["responses"].item() == pytest.approx(np.mean(reached), abs=0.05)
