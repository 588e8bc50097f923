"""Rules: a hand-made table, mlxtend's numbers, Fisher's test, statsmodels' corrections, worlds without affinity."""

import dataclasses
import math
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlxtend.frequent_patterns import association_rules as peer_rules
from mlxtend.frequent_patterns import fpgrowth
from scipy.stats import fisher_exact
from statsmodels.stats.multitest import multipletests

from crmlab.database import (
    association_rules,
    baskets,
    frequent_itemsets,
    pairs_within,
    rule_measures,
    shuffle_baskets,
)
from crmlab.datasets.company import scenario, simulate
from crmlab.errors import ContractError
from tests.database.test_basket_sets import lines, of_matrix

TEN = (
    ["bread milk"] * 2 + ["bread milk jam"] + ["bread butter jam"] * 2 + ["bread", "milk", "milk butter", "bread milk"]
)
TEN += ["tea"]


def ten() -> pd.DataFrame:
    return lines([order.split() for order in TEN])


def test_measures_of_a_table_made_by_hand():
    table = association_rules(frequent_itemsets(baskets(ten()), 0.1, max_len=2)).table
    rules = {(one["antecedent"], one["consequent"]): one for one in table.to_dict("records")}
    jam = rules[("jam",), "bread"]  # 10 orders, 3 with jam, 7 with bread, 3 with both
    assert [jam["orders"], jam["antecedent_orders"], jam["consequent_orders"]] == [3, 3, 7]
    assert jam["support"] == pytest.approx(3 / 10)
    assert jam["confidence"] == 1
    assert jam["association_lift"] == pytest.approx(1 / 0.7)
    assert jam["leverage"] == pytest.approx(0.3 - 0.3 * 0.7)
    assert jam["conviction"] == np.inf
    assert jam["p_value"] == pytest.approx((7 * 6 * 5) / (10 * 9 * 8))  # all three jams among the seven breads
    milk = rules[("milk",), "bread"]
    assert milk["association_lift"] == pytest.approx((4 / 10) / (0.6 * 0.7))
    assert milk["conviction"] == pytest.approx((1 - 0.7) / (1 - 4 / 6))


def test_two_directions_of_a_pair_are_one_test():
    found = association_rules(frequent_itemsets(baskets(ten()), 0.1, max_len=3))
    pairs = found.table[found.table["antecedent"].map(len) == 1]
    same = pairs.groupby("test")[["association_lift", "leverage", "p_value", "q_value", "support"]].agg(np.ptp)
    assert same.to_numpy().max() < 1e-12
    assert pairs["test"].value_counts().eq(2).all()
    longer = found.table[found.table["antecedent"].map(len) == 2]
    assert longer["test"].is_unique
    assert "one test" in found.definitions["test"]
    assert "p-values corrected for 40 tests" in repr(found)  # five items: 10 pairs, 10 sets of three with 3 rules each


@pytest.fixture(scope="module")
def random_sets():
    matrix = np.random.default_rng(4).random((500, 9)) < np.linspace(0.15, 0.6, 9)
    matrix[:, 1] |= matrix[:, 0] & (np.arange(500) % 2 == 0)
    return matrix, frequent_itemsets(of_matrix(matrix), 0.03, max_len=4)


def test_mlxtend_gives_the_same_numbers(random_sets):
    matrix, sets = random_sets
    ours = association_rules(sets).table
    frame = pd.DataFrame(matrix)
    peer = peer_rules(fpgrowth(frame, min_support=0.03, max_len=4), metric="support", min_threshold=0)
    peer = peer[peer["consequents"].map(len) == 1]
    keys = [(frozenset(a), frozenset([c])) for a, c in zip(ours["antecedent"], ours["consequent"], strict=True)]
    theirs = dict(zip(zip(peer["antecedents"], peer["consequents"], strict=True), peer.to_dict("records"), strict=True))
    assert len(keys) == len(theirs)
    same = ("support", "confidence", "leverage", "conviction")
    for name, other in (("association_lift", "lift"), *zip(same, same, strict=True)):
        np.testing.assert_allclose(ours[name], [theirs[key][other] for key in keys], rtol=1e-12)


def test_p_values_are_fishers_and_corrections_count_every_possible_rule(random_sets):
    _, sets = random_sets
    found = association_rules(sets)
    table = found.table.drop_duplicates("test")
    n, a, c, ac = 500, table["antecedent_orders"], table["consequent_orders"], table["orders"]
    squares = [[[k, i - k], [j - k, n - i - j + k]] for i, j, k in zip(a, c, ac, strict=True)]
    expected = [fisher_exact(square, alternative="greater").pvalue for square in squares]
    np.testing.assert_allclose(table["p_value"], expected, rtol=1e-7)
    assert found.tests == 36 + 3 * 84 + 4 * 126
    padded = np.concatenate([table["p_value"], np.ones(found.tests - len(table))])
    for column, method in (("q_value", "fdr_bh"), ("p_bonferroni", "bonferroni")):
        np.testing.assert_allclose(table[column], multipletests(padded, method=method)[1][: len(table)], rtol=1e-9)


def test_confidence_filters_after_the_correction(random_sets):
    _, sets = random_sets
    every, some = association_rules(sets).table, association_rules(sets, min_confidence=0.6).table
    assert 0 < len(some) < len(every)
    pd.testing.assert_frame_equal(some, every[every["confidence"] >= 0.6].reset_index(drop=True))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_laws_of_the_measures(data):
    n = data.draw(st.integers(2, 200))
    a, c = data.draw(st.integers(1, n)), data.draw(st.integers(1, n))
    ac = data.draw(st.integers(max(0, a + c - n), min(a, c)))
    there, back = rule_measures(n, a, c, ac).iloc[0], rule_measures(n, c, a, ac).iloc[0]
    for name in ("support", "association_lift", "leverage", "p_value"):
        assert there[name] == pytest.approx(back[name], rel=1e-9)
    assert np.sign(round(there["leverage"], 12)) == np.sign(round(there["association_lift"] - 1, 9))
    assert 0 <= there["p_value"] <= 1 + 1e-12
    assert there["support"] <= there["confidence"] + 1e-12


@pytest.mark.parametrize(
    "counts", [(10, 0, 5, 0), (10, 5, 5, 6), (10, 11, 5, 2), (10, 9, 9, 7), (10, 5, 5, 2.5), (10, 5, np.nan, 2)]
)
def test_counts_that_cannot_be(counts):
    with pytest.raises(ContractError, match="these are no counts of rules, in 1 of 1 places"):
        rule_measures(*counts)


def test_rules_need_pairs_and_a_share():
    single = frequent_itemsets(baskets(ten()), 0.5, max_len=1)
    with pytest.raises(
        ContractError, match=r"there is no rule; lower min_support \(now 0.5\) or raise max_len \(now 1\)"
    ):
        association_rules(single)
    with pytest.raises(ContractError, match="min_confidence"):
        association_rules(single, min_confidence=1.2)
    with pytest.raises(ContractError, match="there is none"):
        rule_measures([], [], [], [])


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ((10, "many", 5, 2), "one for each rule or one for all"),
        ((10, [5, 5], [5, 5, 5], 2), "one for each rule or one for all"),
        ((10, [[5]], 5, 2), r"got shape \(1, 1\)"),
        ((10, pd.Series([5, 5]), pd.Series([5, 5], index=[1, 2]), 2), "different indexes"),
    ],
)
def test_counts_that_are_no_numbers_or_do_not_fit(counts, message):
    with pytest.raises(ContractError, match=message):
        rule_measures(*counts)


@pytest.mark.parametrize("use", [association_rules, shuffle_baskets, pairs_within, frequent_itemsets])
def test_a_table_is_no_basket(use):
    options = {"seed": 1} if use is shuffle_baskets else {} if use is association_rules else {"min_support": 0.1}
    with pytest.raises(ContractError, match="returns is needed, not DataFrame"):
        use(ten(), **options)


@pytest.fixture(scope="module")
def mixed_sizes():
    """Items without affinity in orders of very different size: a few big trips among many small ones."""
    rng = np.random.default_rng(6)
    popularity = 1 / np.arange(1, 41)
    sizes = np.where(rng.random(6_000) < 0.2, 15, 2)
    rows = [rng.choice(40, size, replace=False, p=popularity / popularity.sum()) for size in sizes]
    matrix = np.zeros((6_000, 40), dtype=bool)
    for row, items in enumerate(rows):
        matrix[row, items] = True
    return of_matrix(matrix)


def test_big_baskets_fool_independence_and_not_the_comparison_within_sizes(mixed_sizes):
    fisher = association_rules(frequent_itemsets(mixed_sizes, 0.01, max_len=2)).table.drop_duplicates("test")
    assert (fisher["q_value"] < 0.05).mean() > 0.5
    within = pairs_within(mixed_sizes, 0.01)
    assert (within.table["q_value"] < 0.05).sum() == 0
    assert within.table["adjusted_lift"].median() == pytest.approx(1, abs=0.03)
    assert (within.strata, within.by) == (2, "size")
    assert len(within.table) == 40 * 39 / 2


def test_expected_pairs_add_up_to_the_pairs_there_are(mixed_sizes):
    """Exactly within a size; where orders of 2 and 15 stand together, the commonest item would be in more than all."""
    for strata, near in ((None, 1e-7), (pd.Series(np.arange(6_000) % 7, name="week"), 5e-3)):
        table = pairs_within(mixed_sizes, 1e-4, strata=strata).table
        assert table["expected"].sum() == pytest.approx(table["orders"].sum(), rel=near)


def test_an_item_in_every_order_goes_with_nothing():
    """Orders ab, ab, ac, ad: a meets b in every order of b, whatever is shuffled."""
    pair = pairs_within(baskets(lines(["ab", "ab", "ac", "ad"])), 0.5).table.iloc[0]
    assert pair["expected"] == pytest.approx(2)
    assert pair["association_lift"] == pytest.approx(2 / 4 / (1 * 1 / 2))


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_equal_items_meet_as_often_as_draws_without_replacement(size):
    """Six items, every set of them once: each pair is in C(4, size - 2) of them."""
    held = baskets(lines([*combinations("abcdef", size), "ab"]))
    table = pairs_within(held, 0.01, strata=pd.Series(["x"] * (len(held.orders) - 1) + ["y"], name="kind")).table
    others = table.query("item_a != 'a' or item_b != 'b'")["expected"].to_numpy()
    assert others == pytest.approx(math.comb(4, size - 2) if size > 1 else 0, abs=1e-6)


def test_expectation_is_the_mean_of_shuffles_within_a_size():
    """Ten items from everyday to rare, orders of five: independent of the formula, shuffles keep both margins.

    The mean of sixty shuffles has an error of about 1 %, the approximation one of up to 3 %.
    """
    rng, popularity = np.random.default_rng(6), 1 / np.arange(1, 11)
    matrix = np.zeros((3_000, 10), dtype=bool)
    for row in matrix:
        row[rng.choice(10, 5, replace=False, p=popularity / popularity.sum())] = True
    table = pairs_within(of_matrix(matrix), 0.01).table.set_index(["item_a", "item_b"])["expected"].sort_index()
    mixed = (shuffle_baskets(of_matrix(matrix), seed=s).matrix.astype(float) for s in range(60))
    met = sum((one.T @ one).toarray() for one in mixed) / 60
    np.testing.assert_allclose(table, met[np.triu_indices(10, k=1)], rtol=0.05)


def test_a_group_that_holds_one_item_only_expects_no_pair():
    held = baskets(lines(["a", "a", "ab", "bc"]))
    table = pairs_within(held, 0.25, strata=pd.Series(["one", "one", "two", "two"], name="shop")).table
    assert table["expected"].sum() == pytest.approx(2)
    assert table["expected"].notna().all()


def test_strata_are_one_known_group_for_each_order(mixed_sizes):
    good = pd.Series("x", index=mixed_sizes.orders)
    with pytest.raises(ContractError, match="must give every order one group") as caught:
        pairs_within(mixed_sizes, 0.1, strata=good.iloc[:-2])
    assert caught.value.problems == ("2 of 6,000 orders have no group (first: 5998)",)
    with pytest.raises(ContractError, match="1 orders have two groups"):
        pairs_within(mixed_sizes, 0.1, strata=pd.concat([good, good.iloc[:1]]))
    with pytest.raises(ContractError, match="the group of 1 orders is missing"):
        pairs_within(mixed_sizes, 0.1, strata=good.where(good.index > 0))
    with pytest.raises(ContractError, match="indexed by order; got ndarray"):
        pairs_within(mixed_sizes, 0.1, strata=good.to_numpy())  # type: ignore[arg-type]
    with pytest.raises(ContractError, match="fewer than two items"):
        pairs_within(mixed_sizes, 0.999)
    with pytest.raises(ContractError, match="above 0"):
        pairs_within(mixed_sizes, 0)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1_000), filled=st.floats(0.2, 0.8))
def test_shuffling_keeps_popularity_and_basket_sizes(seed, filled):
    matrix = np.random.default_rng(seed).random((30, 8)) < filled
    held = of_matrix(matrix)
    mixed = shuffle_baskets(held, seed=seed, sweeps=3)
    assert mixed.matrix.dtype == bool
    assert mixed.matrix.has_canonical_format
    assert mixed.counts.tolist() == held.counts.tolist()
    assert mixed.sizes.tolist() == held.sizes.tolist()
    np.testing.assert_array_equal(held.matrix.toarray(), matrix)


def test_shuffling_reaches_every_table_of_the_margins_about_equally():
    """Rows 2, 1, 1 and columns 2, 1, 1 allow five tables; each is met by a fifth of the shuffles, within chance."""
    held = of_matrix(np.array([[1, 1, 0], [1, 0, 0], [0, 0, 1]], dtype=bool))
    met = pd.Series(
        [shuffle_baskets(held, seed=s, sweeps=20).matrix.toarray().tobytes() for s in range(1_000)]
    ).value_counts()
    assert len(met) == 5
    assert (met - 200).abs().max() < 4 * np.sqrt(1_000 * 0.2 * 0.8)


def test_shuffling_destroys_an_affinity_and_a_seed_repeats_it():
    matrix = np.random.default_rng(8).random((3_000, 20)) < 0.15
    matrix[:, 1] = matrix[:, 0]
    held = of_matrix(matrix)
    first, second = (pairs_within(shuffle_baskets(held, seed=s), 0.01).table for s in (1, 1))
    pd.testing.assert_frame_equal(first, second)
    before = pairs_within(held, 0.01).table
    assert before.iloc[0][["item_a", "item_b"]].tolist() == [0, 1]
    assert before.iloc[0]["adjusted_lift"] > 3
    assert first.query("item_a == 0 and item_b == 1")["adjusted_lift"].item() == pytest.approx(1, abs=0.25)


def test_shuffling_refuses_what_cannot_be_shuffled():
    with pytest.raises(ContractError, match="hardly another table"):
        shuffle_baskets(baskets(lines(["abc"])), seed=1)  # the items of one basket have nowhere to go
    with pytest.raises(ContractError, match="hardly another table"):
        shuffle_baskets(of_matrix(np.ones((4, 3), dtype=bool)), seed=1)
    with pytest.raises(ContractError, match="sweeps"):
        shuffle_baskets(of_matrix(np.eye(3, dtype=bool)), seed=1, sweeps=0)


def test_six_true_rules_are_found_and_hardly_anything_else():
    """A simulated grocer with one kind of order, so that any pair beyond its six rules is a false find."""
    grocer = scenario("grocer")
    goods = grocer.assortment
    whole = dataclasses.replace(
        goods.occasions["weekly shop"],
        needs=dict.fromkeys(grocer.people.needs, 1.0),
        categories={one.category: 2.0 for one in goods.products.values()},
    )
    plain = dataclasses.replace(grocer, assortment=dataclasses.replace(goods, occasions={"any": whole}))
    false = []
    for seed in range(4):
        firm = simulate(1_000, seed=seed, scenario=plain)
        true = set(map(frozenset, firm.truth["rules"][["given", "then_buys"]].to_numpy().tolist()))
        table = pairs_within(baskets(firm["transactions"]), 0.005).table
        found = set(map(frozenset, table.loc[table["q_value"] < 0.05, ["item_a", "item_b"]].to_numpy().tolist()))
        assert true <= found
        false.append(len(found - true))
    assert np.mean(false) <= 1  # six true finds at a share of 0.05 allow a third of a false one
