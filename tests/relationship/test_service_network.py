"""Cascades, seeds and referral flows: small networks by hand, a step-by-step cascade, laws on random networks."""

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmlab.datasets.company import simulate
from crmlab.relationship.word_of_mouth import choose_seeds, network, reach, referral_flows


def ties(*pairs: tuple[int, int]) -> pd.DataFrame:
    return pd.DataFrame(pairs, columns=["customer_id", "friend_id"])


STAR = ties((0, 1), (0, 2), (0, 3), (0, 4), (5, 6))


@pytest.fixture(scope="module")
def friends():
    firm = simulate(2_000, seed=1)
    return network(firm["friendships"], people=firm["customers"]["customer_id"])


def test_friends_are_counted():
    net = network(STAR, people=range(8))
    assert net.friends.tolist() == [4, 1, 1, 1, 1, 1, 1, 0]
    assert net.friends_of_friends == pytest.approx((16 + 6) / 10)
    assert repr(net).startswith("8 people, 5 ties; 1.2 friends in the mean (most 4), 2.2 for a friend; 1 without")
    assert network(STAR).people.tolist() == list(range(7))


def test_the_order_of_a_pair_is_nothing():
    turned = STAR.rename(columns={"customer_id": "friend_id", "friend_id": "customer_id"})
    assert network(turned).friends.equals(network(STAR).friends)


def test_certain_and_impossible_cascades():
    net = network(STAR)
    for chance, expected in [(0.0, [1, 2]), (1.0, [5, 7])]:
        found: Any = reach(net, {"hub": [0], "both": [0, 5]}, chance=chance, draws=2, seed=1)
        assert found["reached"].tolist() == expected
        assert found["std_error"].tolist() == [0, 0]
        assert found["more_than_first"].tolist() == [0, expected[1] - expected[0]]
        assert found["seeds"].tolist() == [1, 2]


def test_the_reach_of_a_star_and_a_path_is_known():
    p, draws = 0.3, 4_000
    star: Any = reach(network(STAR), {"hub": [0], "leaf": [1]}, chance=p, draws=draws, seed=2)
    assert star.loc["hub", "reached"] == pytest.approx(1 + 4 * p, abs=5 * star.loc["hub", "std_error"])
    assert star.loc["leaf", "reached"] == pytest.approx(1 + p + 3 * p**2, abs=5 * star.loc["leaf", "std_error"])
    path: Any = reach(network(ties((0, 1), (1, 2))), {"end": [0]}, chance=p, draws=draws, seed=3)
    assert path.loc["end", "reached"] == pytest.approx(1 + p + p**2, abs=5 * path.loc["end", "std_error"])


def cascade(pairs: np.ndarray, seeds: list[int], chance: float, rng: np.random.Generator) -> int:
    """One independent cascade, step by step as it is defined: each reached person tries each friend once."""
    neighbours: dict[int, list[int]] = {}
    for a, b in pairs:
        neighbours.setdefault(a, []).append(b)
        neighbours.setdefault(b, []).append(a)
    reached, fresh = set(seeds), list(seeds)
    while fresh:
        tried = [friend for who in fresh for friend in neighbours.get(who, []) if friend not in reached]
        fresh = []
        for friend in tried:
            if friend not in reached and rng.random() < chance:
                reached.add(friend)
                fresh.append(friend)
    return len(reached)


def test_kept_ties_are_the_cascade_as_defined():
    rng = np.random.default_rng(4)
    pairs = np.array([pair for pair in itertools.combinations(range(25), 2) if rng.random() < 0.15])
    net = network(pd.DataFrame(pairs, columns=["customer_id", "friend_id"]), people=range(25))
    steps = np.array([cascade(pairs, [0, 7], 0.25, rng) for _ in range(6_000)])
    found: Any = reach(net, {"two": [0, 7]}, chance=0.25, draws=6_000, seed=5).loc["two"]
    error = np.hypot(steps.std() / np.sqrt(len(steps)), found["std_error"])
    assert abs(steps.mean() - found["reached"]) < 4.5 * error


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), chance=st.floats(0.02, 0.4))
def test_more_seeds_reach_more_and_prefixes_are_choices(friends, seed, chance):
    seeds = choose_seeds(friends, 30, "most friends", seed=seed)
    found: Any = reach(friends, {str(n): seeds[:n] for n in (5, 10, 30)}, chance=chance, draws=10, seed=seed)["reached"]
    assert found.is_monotonic_increasing
    assert set(choose_seeds(friends, 10, "most friends", seed=seed)) == set(seeds[:10])


@pytest.mark.parametrize("rule", ["random", "friends of random people", "most friends", "greedy"])
def test_seeds_are_different_people_and_a_seed_repeats_them(friends, rule):
    first = choose_seeds(friends, 40, rule, seed=7, chance=0.05, draws=20)
    assert len(set(first)) == 40
    assert set(first) <= set(friends.people)
    assert (first == choose_seeds(friends, 40, rule, seed=7, chance=0.05, draws=20)).all()


def test_equal_numbers_of_friends_are_put_in_order_by_lot():
    square = network(ties((0, 1), (1, 2), (2, 3), (0, 3)))
    for rule in ("most friends", "greedy"):
        picked = [int(choose_seeds(square, 1, rule, seed=seed, chance=0.0)[0]) for seed in range(40)]
        assert set(picked) == {0, 1, 2, 3}, rule


def test_friends_of_random_people_have_more_friends(friends):
    many = friends.friends
    mean = {
        rule: many[choose_seeds(friends, 300, rule, seed=1)].mean() for rule in ("random", "friends of random people")
    }
    assert mean["random"] == pytest.approx(many.mean(), rel=0.12)
    assert mean["friends of random people"] > 1.25 * many.mean()  # the paradox; some are drawn without replacement


def test_greedy_spreads_its_seeds_where_degrees_pile_them_up():
    two = network(ties((0, 1), (0, 2), (0, 3), (0, 4), (1, 2), (1, 3), (1, 4), (5, 6), (5, 7)))
    assert set(choose_seeds(two, 2, "most friends", seed=1)) == {0, 1}
    chosen = choose_seeds(two, 2, "greedy", seed=1, chance=1.0)
    assert chosen[0] <= 4
    assert chosen[1] >= 5
    everybody = choose_seeds(two, 8, "greedy", seed=1, chance=1.0)
    assert sorted(everybody) == list(range(8))


def test_greedy_reaches_63_percent_of_the_best_choice():
    rng = np.random.default_rng(1)
    pairs = [pair for pair in itertools.combinations(range(12), 2) if rng.random() < 0.2]
    net = network(ties(*pairs), people=range(12))
    plans: dict[str, Any] = {f"{a} {b}": [a, b] for a, b in itertools.combinations(range(12), 2)}
    greedy = choose_seeds(net, 2, "greedy", seed=1, chance=0.4, draws=2_000)
    found: Any = reach(net, {"greedy": greedy} | plans, chance=0.4, draws=2_000, seed=2)["reached"]
    assert found["greedy"] >= (1 - 1 / np.e) * found.max() - 0.1


def test_flows_count_and_compare_with_size():
    partner = pd.Series(["inn", "inn", "guide", "guide", "spa"], index=list("abcde"))
    sent = pd.DataFrame({"referrer_id": list("aabcba"), "customer_id": list("cddbae")})
    flows = referral_flows(sent, partner)
    assert flows.matrix.loc["inn"].to_dict() == {"guide": 3, "inn": 1, "spa": 1}
    assert flows.table["given"].to_dict() == {"guide": 1, "inn": 4, "spa": 0}
    assert flows.table["taken"].to_dict() == {"guide": 3, "inn": 1, "spa": 1}
    assert flows.table["net"].sum() == 0
    assert flows.over_expected.loc["inn", "guide"] == pytest.approx(3 / (5 * 3 / 6))
    assert flows.over_expected.loc["spa"].isna().all()
    assert (flows.table["verdict"] == "balanced").all()
    assert "6 referrals among 3 partners" in repr(flows)


def test_a_clear_giver_is_named_and_an_even_exchange_is_not():
    partner = pd.Series(["a"] * 50 + ["b"] * 50, index=range(100))
    one_way = pd.DataFrame({"referrer_id": range(50), "customer_id": range(50, 100)})
    assert referral_flows(one_way, partner).table["verdict"].to_dict() == {"a": "giver", "b": "taker"}
    back = one_way.rename(columns={"referrer_id": "customer_id", "customer_id": "referrer_id"})
    both = referral_flows(pd.concat([one_way, back]), partner).table
    assert (both["verdict"] == "balanced").all()


def test_partners_who_only_refer_to_themselves_have_no_share():
    partner = pd.Series(["a", "a", "b", "b"], index=range(4))
    table = referral_flows(pd.DataFrame({"referrer_id": [0, 2], "customer_id": [1, 3]}), partner).table
    assert table["share_given"].isna().all()
    assert table["within"].tolist() == [1, 1]
