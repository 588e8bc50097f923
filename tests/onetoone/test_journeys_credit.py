"""Rules of attribution: known examples, independent brute force, and laws that hold on any paths."""

from itertools import combinations, permutations
from math import factorial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmlab.datasets.company import simulate
from crmlab.onetoone import attribute, shapley, touch_paths

RULES = ["first", "last", "linear", "time_decay", "markov", "shapley", "shapley_rates"]
START = pd.Timestamp("2024-05-01")


def paths_of(converted, others=(), empty=0, **options):
    """Paths from strings, one letter a touch, a day apart; `empty` customers were never touched."""
    rows, won = [], []
    for customer, path in enumerate([*converted, *others]):
        rows += [(customer, START + pd.Timedelta(days=i), one) for i, one in enumerate(path)]
        if customer < len(converted):
            won.append((customer, START + pd.Timedelta(days=len(path))))
    touches = pd.DataFrame(rows, columns=["customer_id", "timestamp", "channel"])
    bought = pd.DataFrame(won, columns=["customer_id", "date"])
    return touch_paths(touches, bought, customers=range(len(converted) + len(others) + empty), **options)


def credit(paths, rule, **options):
    return attribute(paths, rule, seed=1, draws=2, **options).table["credit"].to_dict()


some_paths = st.lists(st.text("abc", min_size=1, max_size=5), min_size=1, max_size=8)


def test_rules_by_touch_by_hand():
    paths = paths_of(["aab", "b", "cab"], ["c"])
    assert credit(paths, "first") == {"a": 1, "b": 1, "c": 1}
    assert credit(paths, "last") == {"a": 0, "b": 3, "c": 0}
    assert credit(paths, "linear") == pytest.approx({"a": 1, "b": 1 / 3 + 1 + 1 / 3, "c": 1 / 3})
    # half-life of a day: the touches 3, 2, 1 days before weigh 1, 2, 4
    assert credit(paths, "time_decay", half_life=1) == pytest.approx({"a": 3 / 7 + 2 / 7, "b": 1 + 8 / 7, "c": 1 / 7})
    assert credit(paths, "shapley") == pytest.approx({"a": 0.5 + 1 / 3, "b": 0.5 + 1 + 1 / 3, "c": 1 / 3})


def test_time_decay_survives_touches_of_long_ago():
    touches = pd.DataFrame({"customer_id": 1, "timestamp": pd.to_datetime(["1970-01-01", "1970-01-03"])})
    bought = pd.DataFrame({"customer_id": [1], "date": [pd.Timestamp("2024-01-01")]})
    found = credit(touch_paths(touches.assign(channel=["a", "b"]), bought), "time_decay", half_life=1)
    assert found == pytest.approx({"a": 0.2, "b": 0.8})


def test_markov_on_the_textbook_example():
    """C1-C2-C3 bought, C1 and C2-C3 not: removal effects 1/2, 1, 1, worked out by hand."""
    found = attribute(paths_of(["123"], ["1", "23"]), "markov", seed=1, draws=2).table
    assert found["removal"].to_dict() == pytest.approx({"1": 0.5, "2": 1.0, "3": 1.0})
    assert found["credit"].to_dict() == pytest.approx({"1": 0.2, "2": 0.4, "3": 0.4})


def test_markov_by_hand_with_a_loop():
    # a -> a 1/3, a -> b 1/3, a -> nothing 1/3; b -> bought 1
    found = attribute(paths_of(["aab", "b"], ["a"]), "markov", seed=1, draws=2).table
    start_a, start_b = 2 / 3, 1 / 3
    a_wins = (1 / 3) / (1 - 1 / 3)
    total = start_a * a_wins + start_b
    assert found["removal"].to_dict() == pytest.approx({"a": 1 - start_b / total, "b": 1.0})


def simulated_chain(journeys, won, removed, order, runs, seed):
    """Walk through the chain of the given order at random; the share of walks that convert."""
    moves: dict[str, list[str]] = {}
    for path, success in zip(journeys, won, strict=True):
        states = [path[max(0, i - order + 1) : i + 1] for i in range(len(path))]
        for before, after in zip(["", *states], [*states, "WON" if success else "LOST"], strict=True):
            moves.setdefault(before, []).append(after)
    rng, hits = np.random.default_rng(seed), 0
    for _ in range(runs):
        state = ""
        while state not in ("WON", "LOST"):
            state = moves[state][rng.integers(len(moves[state]))]
            if state[-1] == removed and state not in ("WON", "LOST"):
                state = "LOST"
        hits += state == "WON"
    return hits / runs


@pytest.mark.parametrize("order", [1, 2, 3])
def test_removal_effects_match_walks_through_the_chain(order):
    won, lost = ["abac", "ba", "cab", "aab"], ["ab", "cc", "bca", "a", "acb"]
    found = attribute(paths_of(won, lost), "markov", seed=1, order=order, draws=2).table["removal"]
    flags = [True] * len(won) + [False] * len(lost)
    base = simulated_chain([*won, *lost], flags, "", order, 6_000, 1)
    assert base == pytest.approx(len(won) / len(flags), abs=0.02)
    for channel in "abc":
        without = simulated_chain([*won, *lost], flags, channel, order, 6_000, 2)
        assert found[channel] == pytest.approx(1 - without / base, abs=0.05)


@given(st.lists(st.text("abc", min_size=1, max_size=3), min_size=1, max_size=8), some_paths)
@settings(max_examples=40, deadline=None)
def test_a_chain_that_remembers_everything_only_counts_touches(won, lost):
    found = attribute(paths_of(won, [path[:3] for path in lost]), "markov", seed=1, order=3, draws=1)
    share = found.table["touched"] / found.conversions
    np.testing.assert_allclose(found.table["removal"], share, atol=1e-9)


@given(some_paths, some_paths, st.sampled_from(RULES[:-1]))
@settings(max_examples=80, deadline=None)
def test_rules_are_efficient_and_give_nothing_to_who_touched_nothing_that_sold(won, lost, rule):
    found = attribute(paths_of(won, lost), rule, seed=1, draws=1)
    assert found.table["credit"].sum() == pytest.approx(len(won))
    assert (found.table["credit"] >= -1e-9).all()
    if rule != "markov":
        assert (found.table.loc[found.table["touched"] == 0, "credit"].abs() < 1e-9).all()


def test_a_chain_of_first_order_can_credit_a_channel_that_touched_no_conversion():
    """a sold, b-a did not; the chain believes that half of those at a came by b and then sold as well as others."""
    paths = paths_of(["a"], ["ba"])
    assert attribute(paths, "markov", seed=1, draws=1).table["touched"].to_dict() == {"a": 1, "b": 0}
    assert credit(paths, "markov") == pytest.approx({"a": 2 / 3, "b": 1 / 3})
    assert credit(paths, "markov", order=2) == pytest.approx({"a": 1, "b": 0})


@given(some_paths, some_paths)
@settings(max_examples=40, deadline=None)
def test_removal_of_first_order_does_not_depend_on_repeats(won, lost):
    def once(path):
        return "".join(one for i, one in enumerate(path) if i == 0 or path[i - 1] != one)

    long, short = (
        attribute(paths_of(a, b), "markov", seed=1, draws=1).table["removal"]
        for a, b in ((won, lost), ([once(p) for p in won], [once(p) for p in lost]))
    )
    np.testing.assert_allclose(long, short, atol=1e-9)


# ------------------------------------------------------------------------------------------------- Shapley
def by_permutations(players, worth):
    """The definition: the mean of what a player adds over all orders of joining."""
    total = dict.fromkeys(players, 0.0)
    for order in permutations(players):
        for i, player in enumerate(order):
            total[player] += worth[frozenset(order[: i + 1])] - worth[frozenset(order[:i])]
    return {player: value / factorial(len(players)) for player, value in total.items()}


games = st.integers(1, 4).flatmap(
    lambda n: st.lists(st.floats(-100, 100), min_size=2**n, max_size=2**n).map(
        lambda values: dict(
            zip([frozenset(c) for k in range(n + 1) for c in combinations("abcd"[:n], k)], values, strict=True)
        )
    )
)


@given(games)
@settings(max_examples=80, deadline=None)
def test_shapley_is_the_mean_over_orders_and_efficient(worth):
    found = shapley(worth)
    players = sorted(found.index)
    assert found.to_dict() == pytest.approx(by_permutations(players, worth), abs=1e-8)
    assert found.sum() == pytest.approx(worth[frozenset(players)] - worth[frozenset()], abs=1e-8)


@given(games, st.floats(-50, 50))
@settings(max_examples=50, deadline=None)
def test_shapley_null_player_symmetry_and_additivity(worth, bonus):
    alone = shapley(worth)
    with_null = shapley(worth | {coalition | {"null"}: value for coalition, value in worth.items()})
    assert with_null["null"] == pytest.approx(0, abs=1e-8)
    assert with_null.drop("null").to_dict() == pytest.approx(alone.to_dict(), abs=1e-8)
    rename = {"a": "b", "b": "a"}
    swapped = {frozenset(rename.get(one, one) for one in coalition): value for coalition, value in worth.items()}
    if len(alone) >= 2:
        both = {coalition: (value + swapped[coalition]) / 2 for coalition, value in worth.items()}
        assert shapley(both)["a"] == pytest.approx(shapley(both)["b"], abs=1e-8)
    raised = {coalition: value + bonus * ("a" in coalition) for coalition, value in worth.items()}
    assert shapley(raised)["a"] == pytest.approx(alone["a"] + bonus, abs=1e-8)


def test_shapley_of_the_airport_game():
    """Littlechild & Owen (1973): a runway of cost c serves all who need no more; each part is shared by its users."""
    costs = {"small": 2.0, "middle": 5.0, "large": 9.0}
    game = {c: max(costs[one] for one in c) for k in (1, 2, 3) for c in combinations(costs, k)}
    expected = {"small": 2 / 3, "middle": 2 / 3 + 3 / 2, "large": 2 / 3 + 3 / 2 + 4}
    assert shapley(game).to_dict() == pytest.approx(expected)


@given(some_paths, some_paths)
@settings(max_examples=40, deadline=None)
def test_shapley_rule_is_the_shapley_value_of_conversions_without_others(won, lost):
    players = sorted(set("".join([*won, *lost])))
    worth = {
        frozenset(c): float(sum(set(path) <= set(c) for path in won))
        for k in range(len(players) + 1)
        for c in combinations(players, k)
    }
    assert credit(paths_of(won, lost), "shapley") == pytest.approx(by_permutations(players, worth))


def test_shapley_rates_splits_every_customers_rate_above_the_untouched():
    won, lost, empty = ["a", "ab", "abb", "ba", "b"], ["a", "a", "b", "ab", "b", "b", "b"], 4
    paths = paths_of(won, lost, empty)
    number = {s: sum(set(p) == set(s) for p in [*won, *lost]) for s in ("a", "b", "ab")}
    rate = {frozenset(s): sum(set(p) == set(s) for p in won) / n for s, n in number.items()} | {frozenset(): 0.0}
    both = by_permutations(["a", "b"], rate)
    expected = {
        "a": number["a"] * rate[frozenset("a")] + number["ab"] * both["a"],
        "b": number["b"] * rate[frozenset("b")] + number["ab"] * both["b"],
    }
    assert credit(paths, "shapley_rates") == pytest.approx(expected)


def test_shapley_rates_finds_what_touches_caused_when_they_are_given_at_random():
    rng = np.random.default_rng(5)
    n, lift = 60_000, {"a": 0.06, "b": 0.0, "c": 0.02}
    seen = {name: rng.random(n) < 0.4 for name in lift}
    won = rng.random(n) < 0.05 + sum(lift[name] * seen[name] for name in lift)
    rows = [pd.DataFrame({"customer_id": np.flatnonzero(seen[name]), "channel": name}) for name in lift]
    touches = pd.concat(rows).assign(timestamp=START)
    bought = pd.DataFrame({"customer_id": np.flatnonzero(won), "date": START + pd.Timedelta(days=1)})
    found = attribute(touch_paths(touches, bought, customers=range(n)), "shapley_rates", seed=1).table
    truth = pd.Series({name: lift[name] * seen[name].sum() for name in lift})
    assert ((found["low"] < truth) & (truth < found["high"])).all()
    assert found["credit"].to_numpy() == pytest.approx(truth.to_numpy(), abs=200)


@pytest.mark.parametrize("rule", ["last", "linear", "markov", "shapley_rates"])
def test_intervals_cover_the_credit_of_a_large_population(rule):
    """Of a rule's own answer in as many other customers, which is not what a channel caused."""
    rng = np.random.default_rng(8)
    n, sample, runs = 40_000, 600, 120

    def draw(size):
        eager = rng.random(size) < 0.4
        number = rng.poisson(np.where(eager, 2.2, 1.0))
        who = np.repeat(np.arange(size), number)
        channel = np.where(rng.random(len(who)) < np.where(eager[who], 0.6, 0.3), "a", "b")
        when = START + pd.to_timedelta(rng.random(len(who)) * 10, "D")
        won = rng.random(size) < np.where(eager, 0.4, 0.1) + 0.05 * (number > 0)
        bought = pd.DataFrame({"customer_id": np.flatnonzero(won), "date": START + pd.Timedelta(days=11)})
        touches = pd.DataFrame({"customer_id": who, "timestamp": when, "channel": channel})
        return touch_paths(touches, bought, customers=range(size))

    truth = pd.Series(credit(draw(n), rule)) * sample / n
    inside = []
    for run in range(runs):
        table = attribute(draw(sample), rule, seed=run, draws=150).table
        inside.append(((table["low"] <= truth) & (truth <= table["high"])).to_numpy())
    assert 0.89 <= np.mean(inside) <= 0.99


def test_on_the_simulated_firm_the_rules_are_steady_and_wrong():
    shop = simulate(6_000, seed=4, years=2)
    paths = touch_paths(shop["touches"], shop["sign_ups"], customers=shop.truth["journeys"]["customer_id"])
    hidden, held = shop.truth["holdouts"], shop["holdouts"]["held_out"].to_numpy()
    gain = (hidden["with_channel"] - hidden["without_channel"])[~held].groupby(hidden["channel"]).sum()
    last = attribute(paths, "last", seed=1).table
    assert last.loc["search", "low"] > 2 * gain["search"]
    signed = set(shop["sign_ups"]["customer_id"])
    table = shop["touches"].sort_values(["customer_id", "timestamp"], kind="stable")
    counted = table[table["customer_id"].isin(signed)].groupby("customer_id")["channel"].last().value_counts()
    assert last["credit"].to_dict() == counted.to_dict()
    assert "without any touch" in repr(paths)


def test_late_and_early_touches_are_counted_and_left_out():
    touches = pd.DataFrame(
        {
            "customer_id": [1, 1, 1, 2],
            "timestamp": pd.to_datetime(["2024-05-01", "2024-05-09", "2024-05-12", "2024-05-30"]),
            "channel": ["a", "b", "c", "a"],
        }
    )
    bought = pd.DataFrame({"customer_id": [1], "date": [pd.Timestamp("2024-05-10")]})
    paths = touch_paths(touches, bought, lookback=3)
    assert paths.left_out == {"touches after the conversion": 1, "touches before the look-back": 1}
    assert credit(paths, "linear") == {"a": 0, "b": 1, "c": 0}
    assert "left out: 1 touches after" in repr(paths)
    assert "rule linear: 1.0 of 1 conversions" in repr(attribute(paths, "linear", seed=1))
    assert paths.touches["days"].tolist() == [1.0, 0.0]
