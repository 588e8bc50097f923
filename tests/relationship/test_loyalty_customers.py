"""Importance and performance, the loyalty matrix and the indicators, by hand and on the simulated firm's truth."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from sklearn.metrics import cohen_kappa_score

from crmlab.datasets.company import simulate
from crmlab.errors import ContractError
from crmlab.models.paths import PathModel
from crmlab.relationship.loyalty import importance_performance, loyalty_indicators, loyalty_matrix

# --- importance and performance


@pytest.fixture(scope="module")
def survey() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    liked = rng.normal(size=400)
    faithful = 0.6 * liked + 0.8 * rng.normal(size=400)
    columns = {"l1": liked, "l2": liked, "f1": faithful, "f2": faithful}
    points = {name: 6 + 1.5 * (one + 0.5 * rng.normal(size=400)) for name, one in columns.items()}
    return pd.DataFrame(points).round().clip(1, 10)


BLOCKS = {"liking": ["l1", "l2"], "loyalty": ["f1", "f2"]}


def test_importance_is_the_slope_of_the_indices(survey):
    fit = PathModel(survey, BLOCKS, [("liking", "loyalty")]).fit()
    found = importance_performance(fit, "loyalty", lowest=1, highest=10)
    weights = fit.weights / survey.std()
    index = pd.DataFrame(
        {
            name: (100 * (survey[items] - 1) / 9 * weights[items]).sum(axis=1) / weights[items].sum()
            for name, items in BLOCKS.items()
        }
    )
    slope = np.polyfit(index["liking"], index["loyalty"], 1)[0]
    row = found.table.loc["liking"]
    assert row["importance"] == pytest.approx(slope)
    assert row["performance"] == pytest.approx(index["liking"].mean())
    assert row["total_effect"] == pytest.approx(fit.paths.iloc[0])
    assert found.target_performance == pytest.approx(index["loyalty"].mean())
    assert "importance for loyalty" in repr(found)


@pytest.mark.parametrize(
    ("target", "ends", "words"),
    [
        ("loyalti", (1, 10), "no construct 'loyalti'.*did you mean 'loyalty'"),
        ("liking", (1, 10), "no arrow leads to 'liking'"),
        ("loyalty", (2, 9), "answers off the scale from 2 to 9"),
        ("loyalty", (10, 1), "off the scale from 10 to 1"),
        ("loyalty", (-np.inf, np.inf), "no such scale"),
    ],
)
def test_maps_that_cannot_be_drawn_are_refused(survey, target, ends, words):
    fit = PathModel(survey, BLOCKS, [("liking", "loyalty")]).fit()
    with pytest.raises(ContractError, match=words):
        importance_performance(fit, target, lowest=ends[0], highest=ends[1])


def test_a_negative_weight_is_refused(survey):
    fit = PathModel(survey.assign(l2=11 - survey["l2"]), BLOCKS, [("liking", "loyalty")]).fit()
    with pytest.raises(ContractError, match="negative weight: l"):
        importance_performance(fit, "loyalty", lowest=1, highest=10)


# --- attitude against behaviour

SAID = pd.Series([9, 8, 3, 2, 9, 2], index=list("abcdef"), name="said")
DONE = pd.Series([12, 9, 1, 2, 1, 8], index=list("abcdef"), name="done")


def test_matrix_by_hand():
    later = pd.Series([10, 8, 0, 2, 3, 5], index=SAID.index)
    found = loyalty_matrix(SAID, DONE, later)
    assert (found.attitude_above, found.behaviour_above) == (5.5, 5.0)
    assert found.cells.tolist() == [
        "loyalty",
        "loyalty",
        "no loyalty",
        "no loyalty",
        "latent loyalty",
        "spurious loyalty",
    ]
    assert found.table["customers"].tolist() == [2, 1, 1, 2]
    assert found.table["outcome"].tolist() == [9, 3, 5, 1]
    assert found.table.loc["loyalty", "low"] == pytest.approx(9 - 12.7062047)  # t with one degree of freedom, error 1
    assert found.table["low"].isna()["latent loyalty"]
    assert found.kappa.estimate == pytest.approx(1 / 3)
    assert "6 customers; high attitude means above 5.5" in repr(found)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_laws_of_the_matrix(seed):
    rng = np.random.default_rng(seed)
    said, done = pd.Series(rng.integers(0, 11, 80)), pd.Series(rng.poisson(3, 80))
    found = loyalty_matrix(said, done, attitude_above=5, behaviour_above=2)
    assert found.table["share"].sum() == pytest.approx(1)
    assert found.kappa.estimate == pytest.approx(cohen_kappa_score(said > 5, done > 2), abs=1e-12)
    assert found.kappa.low <= found.kappa.estimate <= found.kappa.high
    for value in range(11):  # equal answers are treated equally
        assert {cell in ("loyalty", "latent loyalty") for cell in found.cells[said == value]} <= {value > 5}
    shuffled = loyalty_matrix(said[::-1], done[::-1], attitude_above=5, behaviour_above=2)
    assert_frame_equal(shuffled.table, found.table)


@pytest.mark.parametrize(
    ("attitude", "behaviour", "limits", "words"),
    [
        (SAID, DONE.reset_index(drop=True), {}, "same index"),
        (SAID, DONE[:4], {}, "same length"),
        (SAID.where(SAID > 2), DONE, {}, "attitude: not a finite number in 2 rows"),
        (SAID * 0, DONE, {}, "attitude: nobody is above 0"),
        (
            SAID,
            DONE,
            {"behaviour_above": 0},
            "everybody is above 0; choose behaviour_above between 1 and 12",
        ),
        (SAID[:0], DONE[:0], {}, "no row"),
    ],
)
def test_customers_without_two_sides_are_refused(attitude, behaviour, limits, words):
    with pytest.raises(ContractError, match=words):
        loyalty_matrix(attitude, behaviour, **limits)


def test_the_level_is_checked():
    with pytest.raises(ContractError, match="level"):
        loyalty_matrix(SAID, DONE, level=0)


# --- indicators


def log(*rows: tuple) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["customer_id", "brand", "occasion"])


def test_indicators_by_hand():
    found = loyalty_indicators(
        log(
            *[("x", brand, at) for at, brand in enumerate("AABAAC")],
            *[("y", "B", 1), ("y", "B", 2)],
            *[("z", "A", 5)],
        ),
        "A",
    )
    assert found.index.tolist() == ["x", "z"]
    assert list(found.loc["x"]) == [6, 4, 4 / 6, 3, False, 0.5]  # after A: A, B, A, C
    assert list(found.loc["z", ["purchases", "share_of_requirements", "sole_buyer"]]) == [1, 1.0, True]
    assert found["repeat_rate"].isna()["z"]


def test_purchases_without_an_order_are_left_out_of_the_repeat_rate():
    tied = log(("x", "A", 1), ("x", "A", 2), ("x", "B", 2), ("x", "A", 3), ("x", "A", 4))
    for rows in (tied, tied[::-1]):
        assert loyalty_indicators(rows, "A").loc["x", "repeat_rate"] == 1.0  # only 3 -> 4 is known
    assert loyalty_indicators(tied, "A").loc["x", "share_of_requirements"] == 0.8


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_laws_of_the_indicators(seed):
    rng = np.random.default_rng(seed)
    n = 120
    rows = pd.DataFrame(
        {"customer_id": rng.integers(0, 15, n), "brand": rng.choice(list("ABC"), n), "occasion": range(n)}
    )
    found = loyalty_indicators(rows, "A")
    assert found["of_brand"].sum() == (rows["brand"] == "A").sum()
    assert (found["sole_buyer"] == (found["share_of_requirements"] == 1)).all()
    assert found["repeat_rate"].dropna().between(0, 1).all()
    assert_frame_equal(loyalty_indicators(rows.sample(frac=1, random_state=seed), "A"), found)


def test_share_of_requirements_follows_the_true_wallet():
    """Households of the simulated firm's panel with many purchases who have not left: shares are near the truth."""
    firm = simulate(4_000, seed=3)
    rivals = firm["rival_purchases"].rename(columns={"rival": "brand"})
    own = firm["orders"][firm["orders"]["customer_id"].isin(rivals["customer_id"])].assign(brand="firm")
    both = pd.concat([own, rivals])[["customer_id", "brand", "date"]].rename(columns={"date": "occasion"})
    people = firm.truth["customers"].set_index("customer_id")
    stayed = people.index[people["left_on"].isna()]
    found = loyalty_indicators(both[both["customer_id"].isin(stayed)], "firm").query("purchases >= 100")
    share = firm.truth["wallet"].set_index("customer_id")["share"].reindex(found.index)
    assert len(found) > 30
    assert found["share_of_requirements"].corr(share) > 0.9
    assert (found["share_of_requirements"] - share).mean() == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize(
    ("rows", "brand", "words"),
    [
        (log(("x", "A", 1)).drop(columns="occasion"), "A", "'occasion'"),
        (log(("x", "A", 1), ("x", "B", None)), "A", r"occasion: missing in 1 rows \(first: 2\)"),
        (log(("x", "apple", 1), ("x", "B", 2)), "aple", "'aple' was never bought.*did you mean 'apple'"),
        (log(("x", "A", 1)), "A", "one brand only"),
        (log(), "A", "was never bought"),
    ],
)
def test_purchases_that_cannot_carry_it_are_refused(rows, brand, words):
    with pytest.raises(ContractError, match=words):
        loyalty_indicators(rows, brand)
