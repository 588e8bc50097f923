"""k-means segments, their stability, and the share of an outcome that segments explain."""

import numpy as np
import pandas as pd
import pytest

from crmlab.database import explained_share, kmeans_segments, segment_stability
from crmlab.errors import ContractError


@pytest.fixture
def blobs() -> pd.DataFrame:
    """Three clear groups of 30, 20 and 10 customers."""
    rng = np.random.default_rng(5)
    centres = np.repeat([[0.0, 1.0], [10.0, 100.0], [20.0, 10_000.0]], [30, 20, 10], axis=0)
    values = centres * rng.uniform(0.9, 1.1, centres.shape) + rng.uniform(0, 0.1, centres.shape)
    return pd.DataFrame(values, columns=["age", "amount"], index=[f"c{i}" for i in range(60)])


def test_finds_clear_groups_and_numbers_them_by_size(blobs):
    segments = kmeans_segments(blobs, k=3, seed=1, log=["amount"])
    assert segments.labels.tolist() == [1] * 30 + [2] * 20 + [3] * 10
    assert segments.profile["customers"].tolist() == [30, 20, 10]
    assert segments.profile["share_customers"].sum() == pytest.approx(1)
    pd.testing.assert_series_equal(
        segments.profile["amount"], blobs.groupby(segments.labels)["amount"].mean(), check_names=False
    )
    assert segments.within_share < 0.05
    assert "3 k-means segments of 60 customers" in repr(segments)


def test_assign_puts_customers_where_the_fit_put_them(blobs):
    segments = kmeans_segments(blobs, k=3, seed=1, log=["amount"])
    shuffled = blobs[["amount", "age"]].sample(frac=1, random_state=2)
    pd.testing.assert_series_equal(segments.assign(shuffled), segments.labels.loc[shuffled.index])
    assert segments.assign(pd.DataFrame({"age": [19.0], "amount": [9_000.0]}, index=["new"])).to_dict() == {"new": 3}


def test_the_same_seed_gives_the_same_and_units_do_not_matter(blobs):
    first = kmeans_segments(blobs, k=4, seed=3)
    again = kmeans_segments(blobs * 1000, k=4, seed=3)
    pd.testing.assert_series_equal(first.labels, again.labels)


def test_features_that_cannot_be_clustered_are_named_together(blobs):
    bad = blobs.assign(city="Lyon", flat=1.0, hole=[np.nan, *[1.0] * 59], loss=-blobs["age"])
    with pytest.raises(ContractError) as caught:
        kmeans_segments(bad, k=1, seed=1, log=["loss", "money"])
    assert caught.value.problems == (
        "city: not numeric; encode it or leave it out",
        "flat: the same for all customers; leave it out",
        "hole: 1 values missing or infinite",
        "loss: negative values have no logarithm",
        "money: to be logged, but no such feature",
        "k must be between 2 and the 60 different customers; got 1",
    )


def test_customers_without_a_value_are_in_no_segment(blobs):
    segments = kmeans_segments(blobs, k=3, seed=1, log=["amount"])
    with pytest.raises(ContractError) as caught:
        segments.assign(pd.DataFrame({"age": [np.nan, 1.0], "amount": [1.0, -1.0]}))
    assert caught.value.problems == (
        "age: 1 values missing or infinite",
        "amount: negative values have no logarithm",
    )
    with pytest.raises(ContractError, match="'amount'"):
        segments.assign(blobs[["age"]])
    with pytest.raises(ContractError, match="there are no features"):
        kmeans_segments(blobs[[]], k=2, seed=1)


def test_stability_of_known_labels():
    before = pd.Series({"a": 1, "b": 1, "c": 2, "d": 2, "gone": 1})
    after = pd.Series({"d": 2, "c": 2, "b": 2, "a": 1, "new": 1, "late": 2})
    stability = segment_stability(before, after)
    assert stability.staying == 0.75
    assert stability.transitions.to_numpy().tolist() == [[1, 1], [0, 2]]
    assert (stability.customers, stability.only_before, stability.only_after) == (4, 1, 2)
    assert stability.transitions.columns.dtype.kind == stability.transitions.index.dtype.kind == "i"
    assert "75.0% of 4 customers stay" in repr(stability)


def test_renamed_segments_have_full_rand_but_nobody_stays():
    before = pd.Series([1, 1, 2, 2, 3, 3])
    stability = segment_stability(before, before.map({1: "x", 2: "y", 3: "z"}))
    assert (stability.staying, stability.adjusted_rand) == (0.0, 1.0)


def test_stability_refuses_what_it_cannot_pair():
    with pytest.raises(ContractError, match=r"labels_after: 1 customers appear twice \(first: a\)"):
        segment_stability(pd.Series({"a": 1}), pd.Series([1, 2], index=["a", "a"]))
    with pytest.raises(ContractError, match="index both series by customer_id"):
        segment_stability(pd.Series({"a": 1}), pd.Series({"b": 1}))


def test_explained_share_of_a_known_split():
    segments = pd.Series(["x"] * 40 + ["y"] * 60)
    outcome = pd.Series([0.0, 2.0] * 20 + [4.0, 6.0] * 30)
    interval = explained_share(segments, outcome, seed=1)
    between = 40 * (1 - 3.4) ** 2 + 60 * (5 - 3.4) ** 2
    raw = between / (between + 100)
    assert interval.estimate == pytest.approx(1 - (1 - raw) * 99 / 98)
    assert interval.low < raw < interval.high
    assert interval == explained_share(segments, outcome.sample(frac=1, random_state=1), seed=1)


def test_meaningless_segments_explain_nothing_however_many():
    rng = np.random.default_rng(11)
    inside, estimates = 0, []
    for trial in range(60):
        segments = pd.Series(rng.integers(0, 40, 400))
        interval = explained_share(segments, pd.Series(rng.gamma(0.5, 10, 400)), seed=trial, n=200)
        inside += interval.low <= 0 <= interval.high
        estimates.append(interval.estimate)
    assert abs(np.mean(estimates)) < 0.01  # raw shares would average 39 / 399 = 0.098
    assert inside >= 54


@pytest.mark.parametrize(
    ("segments", "outcome", "words"),
    [
        (pd.Series({"a": 1, "b": 2}), pd.Series({"a": 1.0, "c": 2.0}), "the same customers"),
        (pd.Series({"a": 1, "b": None, "c": 1}), pd.Series({"a": 1.0, "b": 2.0, "c": 2.0}), "no missing"),
        (pd.Series({"a": 1, "b": 1, "c": 1}), pd.Series({"a": 1.0, "b": 2.0, "c": 2.0}), "at least 2 segments"),
        (pd.Series({"a": 1, "b": 2, "c": 1}), pd.Series({"a": 1.0, "b": 1.0, "c": 1.0}), "an outcome that varies"),
    ],
)
def test_explained_share_refuses_what_has_no_answer(segments, outcome, words):
    with pytest.raises(ContractError, match=words):
        explained_share(segments, outcome, seed=1)
