"""Recommenders against formulas written anew, against worlds with known tastes, and the parts of a score."""

import numpy as np
import pandas as pd
import pytest

from crmlab.errors import ContractError
from crmlab.onetoone import customise_models, explain, fit_recommender, interactions, recommend, score_recommendations
from crmlab.onetoone.customise_models import Method

EXACT = 1e-10
SINGLE = 2e-4  # factors are kept in single precision
METHODS: tuple[Method, ...] = ("popularity", "recent", "own", "cosine", "tfidf", "bm25", "als", "bpr")


def random_log(seed: int, customers: int = 60, items: int = 25, lines: int = 900) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "customer_id": rng.integers(0, customers, lines),
            "product_id": np.minimum(rng.geometric(0.12, lines), items),
            "date": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 90, lines), "D"),
        }
    )


def two_tastes(seed: int, customers: int = 300) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Half of the customers buy items 0 to 19, the other half 20 to 39; all buy items 40 to 43."""
    rng = np.random.default_rng(seed)
    days = pd.date_range("2024-01-01", periods=6, freq="7D")
    rows = []
    for customer in range(customers):
        side = 20 * (customer % 2)
        for day in days:
            rows += [(customer, side + item, day) for item in rng.choice(20, 2, replace=False)]
            rows += [(customer, item, day) for item in rng.choice([40, 41, 42, 43], 1)]
    log = pd.DataFrame(rows, columns=["customer_id", "product_id", "date"])
    return log[log["date"] < days[-2]], log[log["date"] >= days[-2]]


PAST = interactions(random_log(1), min_customers=2, half_life=30)
W = np.log1p(PAST.days.toarray())


def test_baselines_are_what_they_say():
    score = {way: fit_recommender(PAST, way, seed=1).scores() for way in ("popularity", "recent", "own")}
    has = PAST.days.toarray() > 0
    assert np.allclose(score["popularity"], np.tile(has.mean(axis=0), (len(has), 1)), rtol=EXACT)
    lately = np.minimum(PAST.recent.toarray(), 1).mean(axis=0)
    assert np.allclose(score["recent"], np.tile(lately, (len(has), 1)), rtol=EXACT)
    assert np.allclose(score["own"], PAST.recent.toarray(), rtol=EXACT)


def similarity(weighted: np.ndarray) -> np.ndarray:
    """Items by items, from customers by items."""
    return weighted.T @ weighted


def test_cosine_by_its_formula():
    model = fit_recommender(PAST, "cosine", seed=1)
    assert np.allclose(model.scores(), W @ similarity(W / np.sqrt((W**2).sum(axis=0))), rtol=EXACT)
    once = fit_recommender(PAST, "cosine", seed=1, weight="once")
    has = (W > 0).astype(float)
    assert np.allclose(once.scores(), has @ similarity(has / np.sqrt(has.sum(axis=0))), rtol=EXACT)


def test_tfidf_by_its_formula():
    idf = np.log(W.shape[1]) - np.log1p((W > 0).sum(axis=1))
    weighted = np.sqrt(W) * idf[:, None]
    weighted /= np.sqrt((weighted**2).sum(axis=0))
    assert np.allclose(fit_recommender(PAST, "tfidf", seed=1).scores(), W @ similarity(weighted), rtol=EXACT)


def test_bm25_by_its_formula():
    k1, b = 2.0, 0.4
    idf = np.log(W.shape[1]) - np.log1p((W > 0).sum(axis=1))
    length = 1 - b + b * W.sum(axis=0) / W.sum(axis=0).mean()
    weighted = W * (k1 + 1) / (k1 * length + W) * idf[:, None]
    model = fit_recommender(PAST, "bm25", seed=1, K1=k1, B=b)
    assert np.allclose(model.scores(), W @ similarity(weighted), rtol=EXACT)
    assert "K1=2" in repr(model)


def test_only_the_k_most_similar_count():
    few = fit_recommender(PAST, "cosine", seed=1, K=3).model.similarity
    every = similarity(W / np.sqrt((W**2).sum(axis=0)))
    assert (np.diff(few.indptr) <= 3).all()
    for item in range(len(every)):
        assert np.allclose(np.sort(few[[item]].toarray()[0])[-3:], np.sort(every[item])[-3:], rtol=EXACT)


def loss(x: np.ndarray, y: np.ndarray, alpha: float, penalty: float) -> float:
    bought = W > 0
    weight = np.where(bought, alpha * W, 1.0)
    return float((weight * (bought - x @ y.T) ** 2).sum() + penalty * ((x**2).sum() + (y**2).sum()))


def test_als_minimises_the_stated_loss():
    alpha, penalty, rank = 2.0, 3.0, 4
    model = fit_recommender(PAST, "als", seed=1, factors=rank, alpha=alpha, regularization=penalty, iterations=60).model
    rng = np.random.default_rng(3)
    y, bought = rng.normal(0, 0.1, (W.shape[1], rank)), W > 0
    weight = np.where(bought, alpha * W, 1.0)
    for _ in range(200):  # alternating exact solutions, from another start
        x = np.array(
            [
                np.linalg.solve((y.T * c) @ y + penalty * np.eye(rank), (y.T * c) @ p)
                for c, p in zip(weight, bought, strict=True)
            ]
        )
        y = np.array(
            [
                np.linalg.solve((x.T * c) @ x + penalty * np.eye(rank), (x.T * c) @ p)
                for c, p in zip(weight.T, bought.T, strict=True)
            ]
        )
    ours = loss(model.user_factors.astype(float), model.item_factors.astype(float), alpha, penalty)
    assert ours == pytest.approx(loss(x, y, alpha, penalty), rel=2e-3)


def test_als_customers_are_solved_from_the_final_items():
    fitted = fit_recommender(PAST, "als", seed=1, factors=5, alpha=1.5, regularization=2.0, iterations=2)
    y = fitted.model.item_factors.astype(float)
    weight = np.where(W > 0, 1.5 * W, 1.0)
    for row in (0, 7, 30):
        a = (y.T * weight[row]) @ y + 2.0 * np.eye(5)
        assert np.allclose(
            fitted.scores(np.array([row]))[0],
            y @ np.linalg.solve(a, (y.T * weight[row]) @ (W[row] > 0)),
            rtol=SINGLE,
            atol=SINGLE / 10,
        )


@pytest.mark.parametrize("method", METHODS)
def test_the_same_seed_gives_the_same_lists(method):
    one, two = (recommend(fit_recommender(PAST, method, seed=4), 5).places for _ in range(2))
    assert (one == two).all()


@pytest.mark.parametrize("method", ["cosine", "tfidf", "bm25", "als", "bpr"])
def test_known_tastes_are_found(method):
    early, late = two_tastes(1)
    past = interactions(early, min_customers=2)
    lists = {way: recommend(fit_recommender(past, way, seed=1), 5) for way in ("popularity", method)}
    customer, item = (lists[method].table[name].to_numpy() for name in ("customer_id", "item"))
    own_side = (item >= 20) == (customer % 2 == 1)
    assert own_side[item < 40].mean() > 0.97
    assert score_recommendations(lists, late, seed=1).difference(method, "recall").low > 0


def test_new_only_leaves_out_what_was_bought_and_ends_with_nothing():
    log = pd.DataFrame({"customer_id": [1, 1, 1, 2, 2, 3], "product_id": ["a", "b", "c", "a", "b", "a"]})
    past = interactions(log.assign(date=pd.Timestamp("2024-01-01")), min_customers=1)
    model = fit_recommender(past, "popularity", seed=1)
    fresh, anything = recommend(model, 3), recommend(model, 2, new_only=False)
    assert fresh.places.tolist() == [[-1, -1, -1], [2, -1, -1], [1, 2, -1]]
    assert fresh.table.to_numpy().tolist() == [[2, 1, "c"], [3, 1, "b"], [3, 2, "c"]]
    assert anything.places.tolist() == [[0, 1]] * 3
    assert "3 items for each of 3 customers, new to the customer" in repr(fresh)
    assert "bought before or not" in repr(anything)


def test_equal_scores_go_by_popularity_and_then_by_lot():
    log = pd.DataFrame({"customer_id": [1, 2, 2, 2, 3, 3, 4], "product_id": ["a", "b", "c", "d", "b", "a", "b"]})
    past = interactions(log.assign(date=pd.Timestamp("2024-01-01")), min_customers=1)
    lists = [recommend(fit_recommender(past, "own", seed=seed), 4, new_only=False).places[0] for seed in range(12)]
    assert {tuple(one[:2]) for one in lists} == {(0, 1)}  # own first, then the most popular
    assert {tuple(one[2:]) for one in lists} == {(2, 3), (3, 2)}  # c and d are equal in everything


def test_blocks_change_nothing(monkeypatch):
    whole = {way: recommend(fit_recommender(PAST, way, seed=1), 6).places for way in METHODS}
    monkeypatch.setattr(customise_models, "_BLOCK", 7)
    for way in METHODS:
        assert (recommend(fit_recommender(PAST, way, seed=1), 6).places == whole[way]).all()


@pytest.mark.parametrize("method", ["cosine", "tfidf", "bm25"])
def test_parts_of_an_item_item_score(method):
    model = fit_recommender(PAST, method, seed=1)
    customer, item = PAST.customers[4], PAST.items[2]
    found = explain(model, customer, item)
    own = PAST.days[[4]].indices
    by_hand = pd.Series(W[4, own] * model.model.similarity.toarray()[own, 2], PAST.items[own])
    assert found.contributions.sum() == pytest.approx(found.score, rel=1e-12)
    assert np.allclose(found.contributions, by_hand[found.contributions.index], rtol=EXACT)
    assert found.contributions.is_monotonic_decreasing


def test_parts_of_a_factorisation_score():
    model = fit_recommender(PAST, "als", seed=1, factors=6, alpha=1.5, regularization=2.0)
    y = model.model.item_factors.astype(float)
    for row, column in ((0, 3), (11, 0), (25, 8)):
        found = explain(model, PAST.customers[row], PAST.items[column])
        weight = np.where(W[row] > 0, 1.5 * W[row], 1.0)
        inner = np.linalg.inv((y.T * weight) @ y + 2.0 * np.eye(6))
        own = np.flatnonzero(W[row])
        by_hand = pd.Series(1.5 * W[row, own] * (y[own] @ inner @ y[column]), PAST.items[own])
        assert np.allclose(found.contributions, by_hand[found.contributions.index], rtol=SINGLE, atol=SINGLE / 10)
        assert found.contributions.sum() == pytest.approx(found.score, rel=1e-4)
    assert "matrix factorisation" in repr(found)


@pytest.mark.parametrize("method", ["popularity", "recent", "own", "bpr"])
def test_what_is_no_sum_is_not_explained(method):
    model = fit_recommender(PAST, method, seed=1)
    with pytest.raises(ContractError, match=f"a score by {method} is no sum over purchases"):
        explain(model, PAST.customers[0], PAST.items[0])


def test_unknown_names_are_not_explained():
    model = fit_recommender(PAST, "cosine", seed=1)
    with pytest.raises(ContractError, match="does not know customer 'nobody'"):
        explain(model, "nobody", PAST.items[0])
    with pytest.raises(ContractError, match="does not know item 'nothing'"):
        explain(model, PAST.customers[0], "nothing")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "svd"}, "method must be one of popularity"),
        ({"weight": "days"}, "weight must be one of log, once"),
        ({"method": "als", "factor": 3}, "als has no option 'factor'.*did you mean 'factors'"),
        ({"method": "own", "K": 3}, "own has no option 'K'; it has none"),
        ({"method": "cosine", "K": 0}, "K must be a whole number"),
        ({"method": "als", "factors": 2.5}, "factors must be a whole number"),
        ({"method": "als", "regularization": -1.0}, "regularization must be a finite number of 0 or more"),
        ({"method": "als", "alpha": np.nan}, "alpha must be"),
        ({"method": "bm25", "B": "much"}, "B must be"),
    ],
)
def test_options_that_cannot_be_are_refused(options, message):
    with pytest.raises(ContractError, match=message):
        fit_recommender(PAST, **{"method": "bm25", **options}, seed=1)


def test_a_weight_of_nothing_is_refused():
    log = pd.DataFrame({"customer_id": [1, 1, 2, 2, 3, 3], "product_id": ["a", "b", "a", "b", "a", "c"]})
    past = interactions(log.assign(date=pd.Timestamp("2024-01-01")), min_customers=1)
    with pytest.raises(ContractError, match="tfidf gives no weight to customers who bought nearly every item"):
        fit_recommender(past, "tfidf", seed=1)


@pytest.mark.parametrize("n", [0, -1, 2.0, True, 10_000])
def test_lists_that_cannot_be_are_refused(n):
    with pytest.raises(ContractError, match="no list can be made like this"):
        recommend(fit_recommender(PAST, "popularity", seed=1), n)
