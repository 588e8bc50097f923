"""Plans of testing: against hand-played rounds, what theory says of regret and of the means of the arms."""

from typing import Any

import numpy as np
import pytest
from matplotlib import pyplot as plt

from crmlab.errors import ContractError
from crmlab.onetoone import off_policy_value, play_bandit
from crmlab.onetoone.interact_plots import plot_off_policy, plot_regret
from tests.onetoone.test_interact_policy import made


def traffic(rounds: int, *rates: float) -> np.ndarray:
    return np.tile(rates, (rounds, 1))


def test_an_ab_test_deals_evenly_then_plays_the_winner():
    run = play_bandit(traffic(1_000, 0.1, 0.5), "ab", test=200, seed=1)
    arm = run.table["arm"].to_numpy()
    assert np.bincount(arm[:200]).tolist() == [100, 100]
    assert (arm[200:] == 1).all()
    assert run.arms["test_plays"].tolist() == [100, 100]
    assert run.regret == pytest.approx(100 * 0.4)
    assert run.table["regret"].iloc[199] == pytest.approx(40)
    assert run.arms["mean"][0] == run.arms["test_mean"][0]
    assert run.arms["truth"].tolist() == pytest.approx([0.1, 0.5])
    assert "ab over 1,000 customers" in repr(run)


def test_an_ab_test_waits_for_late_feedback():
    run = play_bandit(traffic(1_000, 0.1, 0.5), "ab", test=200, delay=3, batch=100, seed=1)
    arm = run.table["arm"].to_numpy()
    assert np.bincount(arm[:500]).tolist() == [250, 250]
    assert (arm[500:] == 1).all()


def test_plays_of_a_seed_meet_the_same_luck():
    p = traffic(600, 0.2, 0.4)
    runs = [play_bandit(p, player, seed=3, test=600) for player in ("ab", "thompson")]
    first, second = (run.table for run in runs)
    same = first["arm"] == second["arm"]
    assert (first["reward"][same] == second["reward"][same]).all()
    assert same.sum() > 100
    again = play_bandit(p, "thompson", seed=3)
    assert again.table.equals(second)


def test_thompson_regret_grows_slower_than_its_customers_and_below_even_dealing():
    runs = [play_bandit(traffic(4_000, 0.05, 0.15, 0.1), "thompson", seed=seed) for seed in range(8)]
    halves = np.array([[run.table["regret"].iloc[1_999], run.regret] for run in runs]).mean(axis=0)
    assert halves[1] < 1.6 * halves[0]
    assert halves[1] < 0.35 * 4_000 * 0.05  # dealing evenly misses 0.05 a customer in the mean
    plays = np.mean([run.arms["plays"] for run in runs], axis=0)
    assert plays.argmax() == 1
    assert plays[1] > 2_500


def test_delay_costs_thompson_something():
    regret = {
        delay: np.mean(
            [play_bandit(traffic(3_000, 0.05, 0.2), "thompson", delay=delay, seed=s).regret for s in range(6)]
        )
        for delay in (0, 9)
    }
    assert regret[9] > regret[0] + 0.4 * 9 * 100 * 0.15 / 2


def test_means_of_a_bandits_arms_are_biased_down_and_those_of_a_test_are_not():
    """Nie et al. (2018): an arm that looks bad is not played again, so its mean stays low."""
    p = traffic(1_000, 0.1, 0.1, 0.1)
    found: dict[Any, list[float]] = {"thompson": [], "ab": []}
    for seed in range(150):
        for player, kept in found.items():
            run = play_bandit(p, player, seed=seed, test=900, batch=50)
            kept.append((run.arms["mean" if player == "thompson" else "test_mean"] - 0.1).mean())
    error = {player: np.std(kept) / np.sqrt(len(kept)) for player, kept in found.items()}
    assert np.mean(found["thompson"]) < -4 * error["thompson"]
    assert abs(np.mean(found["ab"])) < 3 * error["ab"]


def test_a_context_pays_where_customers_differ():
    rng = np.random.default_rng(1)
    kind = rng.integers(0, 2, 4_000)
    p = np.where(kind[:, None] == [0, 1], 0.3, 0.1)
    context = np.column_stack([kind == 0, kind == 1]).astype(float)
    knows = play_bandit(p, "contextual", context=context, seed=1)
    blind = play_bandit(p, "thompson", seed=1)
    assert knows.table["regret_context"].iloc[-1] < 0.25 * blind.table["regret_context"].iloc[-1]
    assert knows.regret < -0.5 * 4_000 * 0.1  # below the best single arm, which earns 0.2 against 0.3
    assert knows.table["regret_context"].is_monotonic_increasing


def test_refusals():
    p = traffic(50, 0.1, 0.2)
    with pytest.raises(ContractError, match="player must be one of ab, thompson, contextual"):
        play_bandit(p, "ucb", seed=1)  # type: ignore[arg-type]
    with pytest.raises(ContractError, match="chances must be numbers"):
        play_bandit([["a", "b"]], "thompson", seed=1)
    with pytest.raises(ContractError, match="2 arms or more"):
        play_bandit([0.1, 0.2], "thompson", seed=1)
    with pytest.raises(ContractError, match="cannot be played") as error:
        play_bandit(p * 9, "contextual", batch=0, delay=-1, explore=0, test=-1, seed=1)
    assert len(error.value.problems) == 6
    with pytest.raises(ContractError, match="at most all, 2 to 50, got 51"):
        play_bandit(p, "ab", test=51, seed=1)
    with pytest.raises(ContractError, match="one customer per arm"):
        play_bandit(p, "ab", seed=1)
    with pytest.raises(ContractError, match="context"):
        play_bandit(p, "contextual", context=np.ones((49, 1)), seed=1)
    with pytest.raises(ContractError, match="one row of finite numbers"):
        play_bandit(p, "contextual", context=np.ones((50, 0)), seed=1)
    with pytest.raises(ContractError, match="context must be numbers"):
        play_bandit(p, "contextual", context=[["a"]] * 50, seed=1)
    with pytest.raises(ContractError, match="2 to 50, got 1"):
        play_bandit(p, "ab", test=1, seed=1)  # the other arm would never be tried


def test_numpy_arguments_are_those_of_python():
    seed: Any = np.int64(3)
    batch: Any = 50.0
    numpy = play_bandit(traffic(300, 0.1, 0.2), "thompson", seed=seed, batch=batch)
    assert numpy.table.equals(play_bandit(traffic(300, 0.1, 0.2), "thompson", seed=3, batch=50).table)


def test_one_customer_and_odd_batches():
    assert len(play_bandit(traffic(1, 0.1, 0.2), "thompson", seed=1).table) == 1
    run = play_bandit(traffic(101, 0.5, 0.2), "thompson", batch=100, seed=1)  # the last batch is one customer
    assert len(run.table) == 101
    context = play_bandit(traffic(101, 0.5, 0.2), "contextual", context=np.ones((101, 1)), seed=1)
    assert context.arms["plays"].sum() == 101


# figures


def test_regret_is_drawn_with_its_mean():
    runs = {"A/B": [play_bandit(traffic(300, 0.1, 0.4), "ab", test=100, seed=s) for s in (1, 2, 3)]}
    ax = plot_regret(runs)
    line: Any = ax.get_lines()[0]
    assert line.get_ydata()[-1] == pytest.approx(np.mean([run.regret for run in runs["A/B"]]))
    assert ax.get_legend_handles_labels()[1] == ["A/B"]
    plt.close("all")
    with pytest.raises(ContractError, match="two plays or more"):
        plot_regret({"A/B": runs["A/B"][:1]})
    with pytest.raises(ContractError, match="equally many customers"):
        plot_regret({"A/B": [*runs["A/B"], play_bandit(traffic(10, 0.1, 0.4), "thompson", seed=1)]})


def test_off_policy_values_are_drawn_with_what_is_known():
    log, who, q, _ = made(200, 1)
    found = {"rule": off_policy_value(**log, predicted=q, customers=who), "same": off_policy_value(**log)}
    ax = plot_off_policy(found, {"rule": 0.3})
    assert [label.get_text() for label in ax.get_yticklabels()] == ["rule", "same"]
    assert set(ax.get_legend_handles_labels()[1]) == {"IPS", "SNIPS", "DR", "DM", "known"}
    plt.close("all")
    with pytest.raises(ContractError, match="at least one policy"):
        plot_off_policy({})
