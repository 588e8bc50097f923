"""Baskets and frequent item sets: hand-made orders, every subset counted, a peer, and estimates against counts."""

import tracemalloc
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlxtend.frequent_patterns import fpgrowth
from scipy.sparse import csr_array

from crmlab.database import Baskets, baskets, estimate_itemsets, frequent_itemsets
from crmlab.errors import ContractError

ERRORS = 4
"""An estimate by walks may miss by this many of its own standard errors, and by one set where these are zero."""


def lines(orders) -> pd.DataFrame:
    rows = [(number, item) for number, order in enumerate(orders) for item in order]
    return pd.DataFrame(rows, columns=["order_id", "product_id"])


def of_matrix(matrix: np.ndarray, basket: str = "order_id") -> Baskets:
    orders, items = (pd.RangeIndex(size) for size in matrix.shape)
    return Baskets(csr_array(matrix), orders, items, "product_id", basket, {})


def test_a_basket_counts_an_item_once_and_sorts_its_margins():
    held = baskets(lines(["ba", "aab", "c", "ca"]))
    assert held.matrix.toarray().tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 1], [1, 0, 1]]
    assert held.matrix.dtype == bool
    assert held.counts.to_dict() == {"a": 3, "b": 2, "c": 2}
    assert held.sizes.tolist() == [2, 2, 1, 2]
    assert "4 orders (order_id) of 3 items (product_id), 1.75 different items an order" in repr(held)


def test_returns_no_pieces_and_gaps_are_left_out_and_counted():
    table = lines(["ab", "abc", "bc"]).assign(amount=[1.0, 2, -3, 0, 5, 6, 7], quantity=[1, 1, 1, 1, 0, -1, 1])
    table = table.astype({"order_id": "object"})
    table.loc[0, "product_id"], table.loc[1, "order_id"] = None, None
    before = table.copy()
    table = pd.concat([table, table.iloc[[3, 6]].assign(order_id=9)], ignore_index=True)
    held = baskets(table)
    assert dict(held.left_out) == {
        "lines without product_id": 1,
        "lines without order_id": 1,
        "lines of returns (negative amount)": 1,
        "lines of no piece": 2,
    }
    assert held.counts.to_dict() == {"b": 2, "c": 2}
    assert "1 lines of returns" in repr(held)
    pd.testing.assert_frame_equal(table.iloc[:7], before)


def test_a_gap_of_quantity_or_amount_is_no_return():
    held = baskets(lines(["ab"]).assign(amount=[np.nan, 1.0], quantity=[np.nan, 1.0]))
    assert held.counts.tolist() == [1, 1]


def by_hand(matrix: np.ndarray, least: int, longest: int) -> dict[tuple[int, ...], int]:
    sets = (s for length in range(1, longest + 1) for s in combinations(range(matrix.shape[1]), length))
    counts = {s: int(matrix[:, s].all(axis=1).sum()) for s in sets}
    return {s: count for s, count in counts.items() if count >= least}


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    filled=st.floats(0.1, 0.7),
    support=st.sampled_from([0.07, 0.1, 0.28, 0.5]),
    longest=st.sampled_from([1, 2, 3, 4, None]),
)
def test_every_subset_counted_by_hand(seed, filled, support, longest):
    matrix = np.random.default_rng(seed).random((50, 7)) < filled
    matrix[0] = True
    least = {0.07: 4, 0.1: 5, 0.28: 14, 0.5: 25}[support]
    expected = by_hand(matrix, least, longest or 7)
    if not expected:
        with pytest.raises(ContractError, match="no item is in"):
            frequent_itemsets(of_matrix(matrix), support, max_len=longest)
        return
    found = frequent_itemsets(of_matrix(matrix), support, max_len=longest)
    assert dict(zip(found.table["itemset"], found.table["orders"], strict=True)) == expected
    assert found.min_orders == least


def test_fpgrowth_of_mlxtend_finds_the_same():
    matrix = np.random.default_rng(3).random((400, 12)) < np.linspace(0.1, 0.6, 12)
    found = frequent_itemsets(of_matrix(matrix), 0.05, max_len=None).table
    peer = fpgrowth(pd.DataFrame(matrix), min_support=0.05)
    assert dict(zip(map(frozenset, found["itemset"]), found["support"], strict=True)) == pytest.approx(
        dict(zip(peer["itemsets"], peer["support"], strict=True))
    )
    assert found["length"].max() > 3


def test_a_support_that_floats_round_up_keeps_its_sets():
    """0.07 of 100 orders are 7, though 0.07 * 100 is a little more."""
    matrix = np.zeros((100, 3), dtype=bool)
    matrix[:7] = True
    assert frequent_itemsets(of_matrix(matrix), 0.07).table["orders"].tolist() == [7] * 7


def test_order_of_rows_is_nothing():
    table = lines(["abc", "abd", "bcd", "abcd", "ad"])
    mixed = table.sample(frac=1, random_state=1)
    first, second = (frequent_itemsets(baskets(one), 0.4).table for one in (table, mixed))
    pd.testing.assert_frame_equal(first, second)


def test_pairs_of_more_items_than_a_block():
    matrix = np.random.default_rng(5).random((60, 1203)) < 0.08
    found = frequent_itemsets(of_matrix(matrix), 0.1, max_len=2).table
    both = np.triu(matrix.T.astype(int) @ matrix.astype(int), k=1)
    assert (found["length"] == 2).sum() == (both >= 6).sum() > 0


@pytest.mark.parametrize("shape", ["random", "popular", "hidden block", "dense"])
def test_estimates_hold_against_counts(shape):
    rng = np.random.default_rng(7)
    matrix = rng.random((2_000, 40)) < {"random": 0.12, "dense": 0.3}.get(shape, 0.05)
    if shape == "popular":
        matrix = rng.random((2_000, 40)) < np.linspace(0.01, 0.5, 40)
    if shape == "hidden block":
        matrix[:60, :10] = True
    counted = frequent_itemsets(of_matrix(matrix), 0.02, max_len=5).table["length"].value_counts()
    estimated = estimate_itemsets(of_matrix(matrix), 0.02, max_len=5, seed=1)
    assert estimated["standard_error"].loc[:2].eq(0).all()
    for length, row in estimated.iterrows():
        assert abs(row["itemsets"] - counted.get(length, 0)) <= ERRORS * row["standard_error"] + 1
    assert counted.index.max() <= estimated.index.max() + 1


def test_estimates_are_unbiased():
    matrix = np.random.default_rng(9).random((1_000, 30)) < 0.25
    counted = (frequent_itemsets(of_matrix(matrix), 0.012, max_len=None).table["length"] > 2).sum()
    draws = [estimate_itemsets(of_matrix(matrix), 0.012, seed=seed)["itemsets"].loc[3:].sum() for seed in range(20)]
    error = np.std(draws, ddof=1) / np.sqrt(20)
    assert abs(np.mean(draws) - counted) < ERRORS * error
    assert error < 0.05 * counted


def test_an_explosion_is_refused_before_it_happens():
    """Sixty items in seven baskets of ten: sets beyond counting, told within a few megabytes."""
    dense = of_matrix(np.random.default_rng(1).random((2_000, 60)) < 0.7)
    tracemalloc.start()
    with pytest.raises(
        ContractError, match=r"more than 100 million item sets of any length .* limit=100,000"
    ) as caught:
        frequent_itemsets(dense, 0.01, max_len=None)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 30e6
    assert caught.value.problems[0].startswith("max_len=3 would give about 3")
    assert caught.value.problems[1].startswith("min_support=")


def test_the_support_that_a_refusal_names_fits():
    held = of_matrix(np.random.default_rng(2).random((1_000, 40)) < 0.3)
    with pytest.raises(ContractError) as caught:
        frequent_itemsets(held, 0.01, max_len=4, limit=2_000)
    named = next(problem for problem in caught.value.problems if problem.startswith("min_support="))
    support = float(named.split("=")[1].split(" ")[0])
    assert len(frequent_itemsets(held, support, max_len=4, limit=2_500).table) <= 2_500


def test_too_many_pairs_are_refused_with_their_exact_number():
    held = of_matrix(np.ones((20, 30), dtype=bool))
    with pytest.raises(ContractError, match="about 465 item sets up to length 2") as caught:
        frequent_itemsets(held, 0.5, max_len=2, limit=100)
    assert caught.value.problems[0] == "max_len=1 would give about 30 item sets"


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        (lines([]), "no line is left of 0"),
        (lines(["aa", "a"]), "there is one item only ('a')"),
        (lines(["a", "b"]), "no basket holds two different items"),
        (lines(["ab"]).assign(quantity=0), "no line is left of 2"),
        (lines(["ab"]).assign(product_id=np.nan), "no line is left of 2"),
    ],
)
def test_tables_in_which_nothing_can_go_together(table, problem):
    with pytest.raises(ContractError, match="nothing can go together") as caught:
        baskets(table)
    assert problem in caught.value.problems[0]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"product_id": [1, "1", 2]}, "column 'product_id' mixes number and str"),
        ({"order_id": [1, 1, "x"]}, "column 'order_id' mixes number and str"),
        ({"product_id": [["a", "b"]] * 3}, "holds a list in a line"),
        ({"amount": ["1,50", "2", "3"]}, "column 'amount' does not hold numbers"),
        ({"quantity": [1, np.inf, 1]}, "column 'quantity' is infinite in 1 lines"),
    ],
)
def test_columns_of_the_wrong_kind_are_refused(change, problem):
    with pytest.raises(ContractError, match="cannot be laid out") as caught:
        baskets(lines(["ab", "b"]).assign(**{name: pd.Series(values) for name, values in change.items()}))
    assert problem in caught.value.problems[0]


def test_every_option_is_a_number():
    held = of_matrix(np.ones((3, 3), dtype=bool))
    for options in ({"max_len": 2.5}, {"max_len": "3"}, {"limit": np.nan}):
        with pytest.raises(ContractError, match="must be a whole number of 1 or more"):
            frequent_itemsets(held, 0.5, **options)
    with pytest.raises(ContractError, match="above 0 and at most 1"):
        frequent_itemsets(held, "0.1")  # type: ignore[arg-type]


def test_columns_are_asked_for():
    with pytest.raises(ContractError, match="'basket_id'"):
        baskets(lines(["ab"]), basket="basket_id")
    with pytest.raises(ContractError, match="must be two columns"):
        baskets(lines(["ab"]), item="order_id")


def test_impossible_options_are_collected():
    with pytest.raises(ContractError) as caught:
        frequent_itemsets(of_matrix(np.eye(3, dtype=bool)), 0.0, max_len=0, limit=0)
    assert [problem.split(" ")[0] for problem in caught.value.problems] == ["min_support", "max_len", "limit"]
    with pytest.raises(ContractError, match="above 0"):
        estimate_itemsets(of_matrix(np.eye(3, dtype=bool)), np.nan)
    with pytest.raises(ContractError, match=r"no item is in 2 of 3 orders .* the most frequent, 0, is in 1"):
        estimate_itemsets(of_matrix(np.eye(3, dtype=bool)), 0.5)
