"""Scores by brute force, intervals by coverage, and costs of thresholds."""

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmlab.errors import ContractError
from crmlab.onetoone import link_scores, merge_costs, sample_pairs
from crmlab.onetoone.identify import Linkage

labels = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=14)


def by_hand(cluster: list[int], person: list[int]) -> dict[str, tuple[float, float]]:
    """Precision and recall of pairs, records and persons, from their definitions."""
    n = range(len(cluster))
    merged = {p for p in itertools.combinations(n, 2) if cluster[p[0]] == cluster[p[1]]}
    true = {p for p in itertools.combinations(n, 2) if person[p[0]] == person[p[1]]}
    mine = [{j for j in n if cluster[j] == cluster[i]} for i in n]
    own = [{j for j in n if person[j] == person[i]} for i in n]
    found, persons = {frozenset(one) for one in mine}, {frozenset(one) for one in own}

    def over(part: float, whole: float) -> float:
        return part / whole if whole else float("nan")

    return {
        "pairs": (over(len(merged & true), len(merged)), over(len(merged & true), len(true))),
        "records": (
            float(np.mean([len(a & b) / len(a) for a, b in zip(mine, own, strict=True)])),
            float(np.mean([len(a & b) / len(b) for a, b in zip(mine, own, strict=True)])),
        ),
        "persons": (len(found & persons) / len(found), len(found & persons) / len(persons)),
    }


@settings(deadline=None)
@given(labels)
def test_scores_are_their_definitions(rows):
    cluster, person = map(list, zip(*rows, strict=True))
    scores = link_scores(pd.Series(cluster), pd.Series(person), n=100)
    for kind, (precision, recall) in by_hand(cluster, person).items():
        row = scores.table.loc[kind]
        assert row["precision"] == pytest.approx(precision, nan_ok=True)
        assert row["recall"] == pytest.approx(recall, nan_ok=True)
        if precision + recall > 0:
            assert row["f1"] == pytest.approx(2 * precision * recall / (precision + recall))
    assert scores.n_clusters == len(set(cluster))
    assert scores.n_persons == len(set(person))


@settings(deadline=None)
@given(labels)
def test_names_of_clusters_and_the_order_of_records_do_not_matter(rows):
    cluster, person = (pd.Series(one) for one in zip(*rows, strict=True))
    plain = link_scores(cluster, person, n=100).table[["precision", "recall", "f1"]]
    other = link_scores(cluster.map(lambda one: f"c{9 - one}")[::-1], person * 7, n=100).table[
        ["precision", "recall", "f1"]
    ]
    pd.testing.assert_frame_equal(plain, other)


def test_exchanging_clusters_and_persons_exchanges_precision_and_recall():
    one, other = pd.Series([1, 1, 1, 2, 2, 3]), pd.Series([1, 1, 2, 2, 3, 3])
    there, back = (link_scores(*pair, n=100).table for pair in ((one, other), (other, one)))
    np.testing.assert_allclose(there["precision"], back["recall"])


def test_counts_and_repr():
    scores = link_scores(pd.Series([1, 1, 1, 2]), pd.Series(["a", "a", "b", "b"]))
    assert (scores.wrong_pairs, scores.missed_pairs) == (2, 1)
    assert repr(scores).startswith("4 records of 2 persons in 2 clusters: 2 pairs wrongly merged, 1 missed")


def world(rng: np.random.Generator, wrong: float, missed: float, homes: int = 250) -> tuple[pd.Series, pd.Series]:
    """Households of two persons with two records each; some are merged whole, some persons split."""
    person = np.arange(4 * homes) // 2
    cluster = person.copy()
    merged = np.repeat(rng.random(homes) < wrong, 4)
    cluster[merged] = (np.arange(4 * homes) // 4 * 2)[merged]
    split = np.repeat(rng.random(2 * homes) < missed, 2) & ~merged
    cluster[split] += 10**9 * (np.arange(4 * homes)[split] % 2)
    return pd.Series(cluster), pd.Series(person)


@pytest.mark.parametrize(("wrong", "missed"), [(0.05, 0.1), (0.002, 0.002)])
def test_intervals_cover_the_scores_of_the_process(wrong, missed):
    """Households are drawn from a process whose scores are known from a very large draw."""
    truth = link_scores(*world(np.random.default_rng(0), wrong, missed, 50_000), n=100).table
    rng, draws = np.random.default_rng(1), 120
    measures = ["precision", "recall"]
    hits = np.zeros((3, 2))
    for _ in range(draws):
        table = link_scores(*world(rng, wrong, missed), n=150).table
        low, high = (table[[f"{one}_{end}" for one in measures]].to_numpy() for end in ("low", "high"))
        hits += (low <= truth[measures].to_numpy()) & (truth[measures].to_numpy() <= high)
    assert hits.min() / draws > 0.85, hits / draws
    assert hits.mean() / draws > 0.91, hits / draws


def test_no_mistake_seen_is_no_proof_of_none():
    table = link_scores(pd.Series([1, 1, 2, 2, 3]), pd.Series([1, 1, 2, 2, 3])).table
    assert (table[["precision", "recall", "f1"]] == 1).all(axis=None)
    assert table.loc["pairs", "recall_low"] == pytest.approx(0.025 ** (1 / 2))
    assert table.loc["persons", "precision_low"] == pytest.approx(0.025 ** (1 / 3))


@pytest.mark.parametrize(
    ("clusters", "persons", "told"),
    [
        ([1], pd.Series([1]), "clusters must be a series"),
        (pd.Series([1]), [1], "persons must be a series"),
        (pd.Series([1, 2]), pd.Series([1]), r"clusters \(2\) and persons \(1\) must be about the same records"),
        (pd.Series([], dtype=int), pd.Series([], dtype=int), "must be about the same records"),
        (pd.Series([1, 2], index=[0, 0]), pd.Series([1, 2], index=[0, 0]), "each once"),
        (pd.Series([1, np.nan]), pd.Series([1, 2]), r"clusters: missing in 1 rows \(first: 2\)"),
    ],
)
def test_scores_that_are_refused(clusters, persons, told):
    with pytest.raises(ContractError, match=told):
        link_scores(clusters, persons)


def made_up(seed: int = 0, n: int = 4_000, flat: float = 0.7) -> tuple[Linkage, pd.Series]:
    """Pairs with weights, and whether each is of one person; probabilities are bent if `flat` is not 1."""
    rng = np.random.default_rng(seed)
    weight = np.concatenate([rng.normal(-14, 4, n // 2), rng.normal(12, 6, n - n // 2)])
    same = pd.Series(rng.random(n) < 1 / (1 + 2.0 ** -(flat * weight + 1)))
    pairs = pd.DataFrame({"left": range(n), "right": range(n, 2 * n), "weight": weight})
    pairs = pairs.assign(probability=1 / (1 + 2.0**-weight)).sort_values("weight", ascending=False, ignore_index=True)
    nothing: Any = pd.DataFrame()
    return Linkage(nothing, pairs, nothing, 0.1, nothing, (), {}), same


def judged(linkage: Linkage, same: pd.Series, n: int, seed: int) -> pd.DataFrame:
    drawn = sample_pairs(linkage, n, seed=seed)
    return drawn.assign(same=same[drawn["left"]].to_numpy())


def test_a_sample_stands_for_all_pairs():
    linkage, _ = made_up()
    drawn = sample_pairs(linkage, 400, seed=3)
    assert len(drawn) == 400 == drawn["left"].nunique()
    assert drawn["stands_for"].sum() == pytest.approx(len(linkage.pairs))
    pd.testing.assert_frame_equal(drawn, sample_pairs(linkage, 400, seed=3))
    assert not drawn["probability"].is_monotonic_decreasing
    doubtful = drawn["probability"].between(0.2, 0.8).mean()
    assert doubtful > 2 * linkage.pairs["probability"].between(0.2, 0.8).mean()
    whole = sample_pairs(linkage, len(linkage.pairs), seed=1)
    assert (whole["stands_for"] == 1).all()
    with pytest.raises(ContractError, match="cannot be drawn of 4,000"):
        sample_pairs(linkage, 5_000, seed=1)
    with pytest.raises(ContractError, match="n must be a whole number of 16"):
        sample_pairs(linkage, 3, seed=1)


def test_costs_of_all_pairs_are_counted():
    linkage, same = made_up()
    table = judged(linkage, same, len(linkage.pairs), 1)
    costs = merge_costs(table, wrong_merge=25, missed_merge=5)
    for threshold in (0.0, 0.001, 0.3, 0.9, 1.0):
        merged = table["probability"] >= threshold
        expected = 25 * (merged & ~table["same"]).sum() + 5 * (~merged & table["same"]).sum()
        assert costs.at(threshold).estimate == pytest.approx(expected)
        assert costs.at(threshold).high == pytest.approx(expected)
    assert costs.at(costs.best).estimate == costs.table["cost"].min()
    assert costs.by_theory == pytest.approx(25 / 30)
    assert costs.best != pytest.approx(costs.by_theory, abs=0.1)


def test_right_probabilities_put_the_cheapest_threshold_where_theory_does():
    rng = np.random.default_rng(5)
    chance = rng.random(200_000)
    table = pd.DataFrame({"probability": chance.round(2), "same": rng.random(200_000) < chance})
    costs = merge_costs(table, wrong_merge=3, missed_merge=1)
    assert costs.best == pytest.approx(0.75, abs=0.04)


def test_intervals_of_costs_cover_the_cost_of_all_pairs():
    linkage, same = made_up()
    everything = merge_costs(judged(linkage, same, len(linkage.pairs), 0), wrong_merge=25, missed_merge=5)
    for threshold, other in ((0.5, 0.83), (0.01, 0.5)):
        cost, more = everything.at(threshold).estimate, everything.difference(threshold, other).estimate
        assert more == pytest.approx(cost - everything.at(other).estimate)
        hits = np.zeros(2)
        for seed in range(80):
            costs = merge_costs(judged(linkage, same, 400, seed), wrong_merge=25, missed_merge=5)
            own, gap = costs.at(threshold), costs.difference(threshold, other)
            hits += [own.low <= cost <= own.high, gap.low <= more <= gap.high]
        assert (hits / 80 > 0.9).all(), (threshold, hits / 80)


def test_what_is_chosen_on_a_sample_looks_cheaper_there_than_it_is():
    linkage, same = made_up()
    gains = []
    for seed in range(70):
        first, second = (
            merge_costs(judged(linkage, same, 100, s), wrong_merge=25, missed_merge=5) for s in (seed, seed + 500)
        )
        gains.append(second.at(first.best).estimate - first.at(first.best).estimate)
    assert np.mean(gains) > 2 * np.std(gains) / np.sqrt(len(gains))


def test_the_highest_of_equally_cheap_thresholds_is_taken():
    table = pd.DataFrame({"probability": [0.9, 0.8, 0.1], "same": [True, True, False]})
    costs = merge_costs(table, wrong_merge=1, missed_merge=1)
    assert costs.best == pytest.approx(0.45)
    assert merge_costs(table.assign(same=False), wrong_merge=1, missed_merge=1).best == 1.0
    assert merge_costs(table.assign(same=True), wrong_merge=1, missed_merge=1).best == 0.0
    assert "3 labelled pairs" in repr(costs)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"same": "yes"}, "needs True or False in 'same'"),
        ({"probability": np.nan}, "probability: not a finite number in 2 rows"),
        ({"probability": 2.0}, "probability: not between 0 and 1 in 2 rows"),
        ({"stands_for": 0.5, "stratum": 1}, "stands_for: below 1 in 2 rows"),
        ({"stratum": 1}, "'stands_for'"),
    ],
)
def test_labels_that_are_refused(change, told):
    table = pd.DataFrame({"probability": [0.1, 0.9], "same": [True, False]}).assign(**change)
    with pytest.raises(ContractError, match=told):
        merge_costs(table, wrong_merge=1, missed_merge=1)


@pytest.mark.parametrize("cost", [0, -1, float("inf"), "5"])
def test_costs_that_are_refused(cost):
    table = pd.DataFrame({"probability": [0.1, 0.9], "same": [True, False]})
    with pytest.raises(ContractError, match="wrong_merge is the cost of a pair, above 0"):
        merge_costs(table, wrong_merge=cost, missed_merge=1)
    with pytest.raises(ContractError, match="missed_merge is the cost of a pair, above 0"):
        merge_costs(table, wrong_merge=1, missed_merge=cost)
    with pytest.raises(ContractError, match="needs columns that the table lacks"):
        merge_costs(table[["same"]], wrong_merge=1, missed_merge=1)
