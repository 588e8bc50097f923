"""Metrics against scikit-learn and loops by hand, and how often intervals cover what holds for everybody."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import ndcg_score

from crmlab.errors import ContractError
from crmlab.onetoone import (
    choice_curve,
    customise_models,
    fit_recommender,
    interactions,
    recommend,
    score_recommendations,
)
from crmlab.onetoone.customise_models import Method, Recommender
from tests.onetoone.test_customise_models import random_log

K = 4
PAST = interactions(random_log(1), min_customers=2, half_life=30)
WAYS: tuple[Method, ...] = ("popularity", "own", "cosine", "als")
MODELS: dict[str, Recommender] = {way: fit_recommender(PAST, way, seed=1) for way in WAYS}
LATER = random_log(2, lines=300).assign(date=pd.Timestamp("2024-06-01"))


def lists(new_only: bool) -> dict:
    return {way: recommend(model, K, new_only=new_only) for way, model in MODELS.items()}


@pytest.fixture(scope="module", params=[True, False], ids=["new", "any"])
def task(request):
    return request.param, score_recommendations(lists(request.param), LATER, seed=1, n=200)


def wanted_by_hand(new_only: bool) -> dict[Any, set]:
    had = {c: set(PAST.items[PAST.days[[row]].indices]) for row, c in enumerate(PAST.customers)}
    found: dict[Any, set] = {}
    for customer, part in LATER.groupby("customer_id"):
        if customer in had:
            items = set(part["product_id"]) & set(PAST.items) - (had[customer] if new_only else set())
            if items:
                found[customer] = items
    return found


def test_metrics_by_hand(task):
    new_only, scores = task
    want = wanted_by_hand(new_only)
    assert scores.customers.index.tolist() == sorted(want)
    assert scores.counts["pairs scored"] == sum(map(len, want.values()))
    owners = dict(zip(PAST.items, PAST.popularity, strict=True))
    for way, made in lists(new_only).items():
        for customer, items in want.items():
            shown = made.table.query("customer_id == @customer")["item"].tolist()
            hits = [one in items for one in shown]
            row = scores.customers.loc[customer, way]
            assert row["recall"] == pytest.approx(sum(hits) / min(K, len(items)))
            assert row["hit_rate"] == any(hits)
            assert row["novelty"] == pytest.approx(np.mean([-np.log2(owners[one]) for one in shown]) if shown else 0)


def test_ndcg_is_that_of_scikit_learn(task):
    new_only, scores = task
    want = wanted_by_hand(new_only)
    for way, made in lists(new_only).items():
        for customer, items in want.items():
            truth = np.isin(PAST.items, list(items)).astype(float)
            ranked = np.zeros(len(PAST.items))
            places = made.places[PAST.customers.get_loc(customer)]
            for place, code in enumerate(places[places >= 0]):
                ranked[code] = K - place
            assert scores.customers.loc[customer, (way, "ndcg")] == pytest.approx(ndcg_score([truth], [ranked], k=K))


def test_tables_agree_with_one_another(task):
    new_only, scores = task
    for way in WAYS:
        for metric in ("recall", "ndcg", "hit_rate", "novelty"):
            value = scores.interval(way, metric)
            assert value.estimate == pytest.approx(scores.customers[(way, metric)].mean())
            assert value.estimate == pytest.approx(scores.table.loc[way, metric])
            assert value.low <= value.estimate <= value.high
            if way != "popularity":
                gap = scores.difference(way, metric)
                assert gap.estimate == pytest.approx(value.estimate - scores.table.loc["popularity", metric])
                joint = scores.differences.loc[(way, metric)]
                assert joint["high_all"] - joint["low_all"] >= 0.95 * (gap.high - gap.low)
        places = lists(new_only)[way].places[PAST.customers.get_indexer(scores.customers.index)]
        assert scores.table.loc[way, "coverage"] == len(set(places.ravel()) - {-1}) / len(PAST.items)
    assert f"{K} places, items {'new to the customer' if new_only else 'bought before or not'}" in repr(scores)
    assert "customers without a wanted item" in repr(scores)


def test_a_list_that_knows_the_future_scores_one(monkeypatch):
    want = wanted_by_hand(False)
    oracle = np.zeros(PAST.days.shape)
    for customer, items in want.items():
        oracle[PAST.customers.get_loc(customer), PAST.items.get_indexer(pd.Index(list(items)))] = 1
    monkeypatch.setattr(customise_models.Recommender, "scores", lambda self, rows: oracle[rows])
    perfect = {"oracle": recommend(MODELS["own"], K, new_only=False)}
    scores = score_recommendations(perfect, LATER, seed=1, n=50)
    assert scores.table[["recall", "ndcg", "hit_rate"]].to_numpy().ravel().tolist() == [1, 1, 1]
    assert scores.differences.empty


def test_against_and_levels():
    both = lists(True)
    one = score_recommendations(both, LATER, seed=1, n=200, against="als")
    other = score_recommendations(both, LATER, seed=1, n=200, level=0.8)
    assert one.difference("popularity", "recall").estimate == -other.difference("als", "recall").estimate
    wide = score_recommendations(both, LATER, seed=1, n=200).difference("als", "recall")
    narrow = other.difference("als", "recall")
    assert wide.low < narrow.low < narrow.high < wide.high
    assert set(one.differences.index.get_level_values(0)) == {"popularity", "own", "cosine"}


def test_equal_lists_differ_by_nothing():
    twice = {"a": recommend(MODELS["als"], K), "b": recommend(MODELS["als"], K)}
    gap = score_recommendations(twice, LATER, seed=1, n=100).differences
    assert (gap == 0).all(axis=None)


def test_intervals_cover_what_holds_for_everybody():
    """Samples of 120 from 1,500 customers; the truth is the mean over all of them (error of 200 trials: 0.015)."""
    early, later = random_log(5, 1_500, 25, 20_000), random_log(6, 1_500, 25, 9_000)
    past = interactions(early, min_customers=5)
    made = {way: recommend(fit_recommender(past, way, seed=1), K) for way in ("popularity", "cosine", "als")}
    later = later.drop(columns="date")
    truth = score_recommendations(made, later, seed=1, n=10)
    people, rng = truth.customers.index.to_numpy(), np.random.default_rng(7)
    inside = {"mean": 0, "difference": 0, "all at once": 0}
    for trial in range(200):
        some = later[later["customer_id"].isin(rng.choice(people, 120, replace=False))]
        scores = score_recommendations(made, some, seed=trial, n=300)
        mean, gap = scores.interval("als", "ndcg"), scores.difference("als", "ndcg")
        inside["mean"] += mean.low <= truth.interval("als", "ndcg").estimate <= mean.high
        inside["difference"] += gap.low <= truth.difference("als", "ndcg").estimate <= gap.high
        joint = scores.differences.xs("ndcg", level=1)
        known = truth.differences.xs("ndcg", level=1)["difference"]
        inside["all at once"] += bool(((joint["low_all"] <= known) & (known <= joint["high_all"])).all())
    assert all(0.90 <= count / 200 <= 0.99 for count in inside.values()), inside


def test_limits_for_all_hold_under_no_difference_at_all():
    """Ten lists drawn by lot are equal in truth: limits for each alone miss often somewhere, those for all rarely."""
    rng = np.random.default_rng(1)
    past = interactions(random_log(8, 400, 40, 6_000), min_customers=2)
    model = fit_recommender(past, "popularity", seed=1)
    alone = together = 0
    for trial in range(100):
        made = {}
        for name in range(11):
            drawn = rng.random(past.days.shape).argsort(axis=1)[:, :K]
            made[str(name)] = customise_models.Recommendations(drawn, past, model.method, False)
        later = random_log(100 + trial, 400, 40, 1_500).drop(columns="date")
        gaps = score_recommendations(made, later, seed=trial, n=200).differences.xs("recall", level=1)
        alone += bool(((gaps["low"] > 0) | (gaps["high"] < 0)).any())
        together += bool(((gaps["low_all"] > 0) | (gaps["high_all"] < 0)).any())
    assert alone >= 20
    assert together <= 11


def test_ranks_and_lengths_by_hand():
    curve = choice_curve(MODELS, LATER, new_only=True, seed=1, n=100)
    want = wanted_by_hand(True)
    for way, model in MODELS.items():
        full = recommend(model, len(PAST.items)).places
        found: dict[Any, list] = {length: [] for length in curve.found.index}
        for customer, items in want.items():
            order = full[PAST.customers.get_loc(customer)].tolist()
            ranks = [order.index(code) + 1 for code in PAST.items.get_indexer(pd.Index(list(items)))]
            assert sorted(ranks) == sorted(curve.ranks.loc[curve.ranks.index == PAST.customers.get_loc(customer), way])
            for length, share in found.items():
                share.append(np.mean([rank <= length for rank in ranks]))
        assert np.allclose(curve.found[way], [np.mean(share) for share in found.values()])
        needed = curve.needed.xs(0.5, level=1).loc[way]
        assert needed["shown"] == next(k for k, share in curve.found[way].items() if share >= 0.5)
        assert needed["low"] <= needed["shown"] <= needed["high"]
    own = [len(PAST.items) - PAST.days[[PAST.customers.get_loc(customer)]].nnz for customer in want]
    assert curve.items == pytest.approx(np.mean(own))
    assert curve.found.iloc[-1].tolist() == [1.0] * len(WAYS)
    assert "so that a wanted one is among them" in repr(curve)


def test_lengths_cover_what_holds_for_everybody():
    early, later = random_log(5, 1_500, 25, 20_000), random_log(6, 1_500, 25, 9_000).drop(columns="date")
    past = interactions(early, min_customers=5)
    model = {"cosine": fit_recommender(past, "cosine", seed=1)}
    everybody = choice_curve(model, later, seed=1, n=2)
    truth, people = everybody.needed["shown"].iloc[0], later["customer_id"].unique()
    rng, inside = np.random.default_rng(3), 0
    for trial in range(100):
        some = later[later["customer_id"].isin(rng.choice(people, 150, replace=False))]
        needed = choice_curve(model, some, seed=trial, n=200).needed.xs(0.5, level=1).loc["cosine"]
        inside += needed["low"] <= truth <= needed["high"]
    assert inside >= 93  # whole numbers: limits are wider than 95 in 100 asks for


def test_lists_that_cannot_be_compared_are_refused():
    good = recommend(MODELS["als"], K)
    elsewhere = interactions(random_log(1), min_customers=2)
    other = recommend(fit_recommender(elsewhere, "own", seed=1), K)
    cases: list[tuple[Any, str]] = [
        ({}, "at least one name"),
        ([good], "a mapping of names"),
        ({"a": MODELS["als"]}, "what `recommend` returns"),
        ({"a": good, "b": other}, "made of the same `interactions`"),
        ({"a": good, "b": recommend(MODELS["als"], K + 1)}, "differ in places or in the task"),
        ({"a": good, "b": recommend(MODELS["als"], K, new_only=False)}, "differ in places or in the task"),
    ]
    for bad, message in cases:
        with pytest.raises(ContractError, match=message):
            score_recommendations(bad, LATER, seed=1)
    with pytest.raises(ContractError, match="there is no list 'best'"):
        score_recommendations({"a": good}, LATER, seed=1, against="best")
    with pytest.raises(ContractError, match="n must be a whole number"):
        score_recommendations({"a": good}, LATER, seed=1, n=0)
    with pytest.raises(ContractError, match="level must lie"):
        score_recommendations({"a": good}, LATER, seed=1, level=95)
    with pytest.raises(ContractError, match="there is no 'precision' of 'a'; there are: a; recall"):
        score_recommendations({"a": good}, LATER, seed=1, n=5).interval("a", "precision")


@pytest.mark.parametrize("shares", [(), (0.0,), (1.2,)])
def test_shares_that_cannot_be_found_are_refused(shares):
    with pytest.raises(ContractError, match="shares must lie above 0"):
        choice_curve(MODELS, LATER, seed=1, shares=shares)
