"""Private counts: the budget's arithmetic, the noise against its law, coverage, bounding and parallel parts."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import pyplot as plt
from scipy.stats import chisquare

from crmlab.errors import ContractError
from crmlab.onetoone import Budget, generalise, private_counts
from crmlab.onetoone.privacy_plots import plot_generalised, plot_private_counts

CELLS: dict[str, Any] = {"region": ["north", "south"], "age": [20, 30, 40]}


def people(n: int = 120, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "customer_id": np.arange(n),
            "region": rng.choice(CELLS["region"], n),
            "age": rng.choice(CELLS["age"], n, p=[0.7, 0.2, 0.1]),
        }
    )


def noise(epsilon: float, most: int, runs: int, rehearsal: bool) -> np.ndarray:
    """Draws of the noise alone: counts of an empty table with a thousand cells."""
    empty = pd.DataFrame({"customer_id": [], "cell": []})
    cells = {"cell": list(range(1_000))}
    found = [
        private_counts(
            empty,
            cells,
            epsilon=epsilon,
            budget=Budget(epsilon),
            customer="customer_id",
            most_cells=most,
            rehearsal=run if rehearsal else None,
        ).table["count"]
        for run in range(runs)
    ]
    return np.concatenate(found)


@pytest.mark.parametrize("rehearsal", [True, False])
@pytest.mark.parametrize(("epsilon", "most"), [(1.0, 1), (0.5, 3)])
def test_noise_has_the_discrete_laplace_law(epsilon, most, rehearsal):
    """Chi-squared against the mass (1 - q) / (1 + q) q^|x|; OpenDP's draws differ every time, so the bar is low."""
    drawn, q = noise(epsilon, most, 20, rehearsal), math.exp(-epsilon / most)
    reach = int(3 / (1 - q))
    inner = np.arange(-reach, reach + 1)
    mass = (1 - q) / (1 + q) * q ** np.abs(inner)
    seen = np.array([(drawn == x).sum() for x in inner])
    tail = 1 - mass.sum()
    p = chisquare([*seen, len(drawn) - seen.sum()], len(drawn) * np.array([*mass, tail])).pvalue
    assert p > 1e-6


@given(st.floats(0.02, 20), st.floats(0.5, 0.999))
@settings(max_examples=60, deadline=None)
def test_half_width_is_the_smallest_that_covers(epsilon, level):
    table = pd.DataFrame({"cell": ["a"]})
    how: dict[str, Any] = {"epsilon": epsilon, "budget": Budget(epsilon), "level": level, "rehearsal": 1}
    half = private_counts(table, {"cell": ["a"]}, **how).half_width
    q = math.exp(-epsilon)

    def covers(h: int) -> float:
        return 1 - 2 * q ** (h + 1) / (1 + q)

    assert covers(half) >= level - 1e-7
    assert half == 0 or covers(half - 1) < level + 1e-7


def test_half_width_agrees_with_opendp():
    import opendp.prelude as dp

    for epsilon in (0.05, 0.3, 1.0, 2.0):
        budget = Budget(epsilon)
        half = private_counts(people(), CELLS, epsilon=epsilon, budget=budget, rehearsal=1).half_width
        accuracy = dp.discrete_laplacian_scale_to_accuracy(scale=1 / epsilon, alpha=0.05)  # P(|X| >= accuracy) = alpha
        assert half == math.ceil(accuracy) - 1 or half == math.floor(accuracy)


@pytest.mark.parametrize("rehearsal", [True, False])
def test_intervals_cover_the_truth_at_their_rate(rehearsal):
    table = people(400)
    exact = table.groupby(["region", "age"]).size().reindex(pd.MultiIndex.from_product(list(CELLS.values()))).to_numpy()
    inside = []
    for run in range(400):
        found = private_counts(
            table, CELLS, epsilon=0.4, budget=Budget(1), level=0.9, rehearsal=run if rehearsal else None
        )
        inside.append((found.table["low"] <= exact) & (exact <= found.table["high"]))
    q, half = math.exp(-0.4), found.half_width
    promised = 1 - 2 * q ** (half + 1) / (1 + q)
    assert 0.9 <= promised < 0.95
    assert np.mean(inside) == pytest.approx(promised, abs=5 * np.sqrt(0.09 / 2_400))


def test_a_neighbour_changes_no_outcome_by_more_than_e_to_epsilon():
    """The law of the released count, with and without one customer: the ratio is bounded, and the bound is met."""
    epsilon, q = 0.7, math.exp(-0.7)
    x = np.arange(-60, 60)
    with_me, without = ((1 - q) / (1 + q) * q ** np.abs(x - count) for count in (11, 10))
    ratio = np.log(with_me / without)
    assert np.abs(ratio).max() == pytest.approx(epsilon)
    drawn = [noise(epsilon, 1, 30, True) + count for count in (11, 10)]
    right = (np.mean(drawn[0] > 10) + np.mean(drawn[1] <= 10)) / 2
    assert right == pytest.approx(math.exp(epsilon) / (1 + math.exp(epsilon)), abs=0.006)


def test_all_cells_come_in_their_order_empty_ones_too():
    table = pd.DataFrame({"region": ["south"] * 50, "age": [30] * 50})
    found = private_counts(table, CELLS, epsilon=50.0, budget=Budget(50), rehearsal=1)
    assert found.table[["region", "age"]].apply(tuple, axis=1).tolist() == [
        (r, a) for r in CELLS["region"] for a in CELLS["age"]
    ]
    assert found.table["count"].tolist() == [0, 0, 0, 0, 50, 0]
    assert (found.scale, found.half_width, found.rehearsal) == (0.02, 0, True)
    assert "NOT private" in repr(found)
    assert "NOT private" not in repr(private_counts(table, CELLS, epsilon=1.0, budget=Budget(1)))
    assert found.table["low"].min() >= 0


def test_real_noise_differs_and_rehearsed_noise_does_not():
    how: dict[str, Any] = {"epsilon": 0.1, "budget": Budget(100)}
    cells = {"age": list(range(20, 70))}
    a, b = (private_counts(people(), cells, **how).table["count"].tolist() for _ in range(2))
    c, d = (private_counts(people(), cells, **how, rehearsal=3).table["count"].tolist() for _ in range(2))
    assert a != b
    assert c == d
    long = private_counts(people(), cells, **how, rehearsal=3)
    assert "40 more cells" in repr(long)


def events(seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame({"customer_id": rng.integers(0, 200, 1_500), "cell": rng.choice(list("abcde"), 1_500)})


def test_a_customer_counts_once_in_a_cell_and_in_no_more_cells_than_allowed():
    table, cells = events(), {"cell": list("abcde")}
    exact = table.groupby("cell")["customer_id"].nunique().to_numpy()
    everything = private_counts(
        table, cells, epsilon=500.0, budget=Budget(500), customer="customer_id", most_cells=5, rehearsal=1
    )
    assert everything.table["count"].tolist() == exact.tolist()
    for most in (1, 2, 3):
        found = private_counts(
            table, cells, epsilon=500.0, budget=Budget(500), customer="customer_id", most_cells=most, rehearsal=1
        )
        wanted = table.groupby("customer_id")["cell"].nunique().clip(upper=most).sum()
        assert found.table["count"].sum() == wanted
        assert found.scale == most / 500


def test_bounding_draws_the_cells_evenly():
    """Everybody is in two cells; kept in one, each cell keeps half in the mean."""
    table = pd.DataFrame({"customer_id": np.repeat(np.arange(500), 2), "cell": ["a", "b"] * 500})
    kept = [
        private_counts(
            table, {"cell": ["a", "b"]}, epsilon=500.0, budget=Budget(500), customer="customer_id", rehearsal=run
        ).table["count"]
        for run in range(40)
    ]
    assert np.mean([one.iloc[0] for one in kept]) == pytest.approx(250, abs=5 * np.sqrt(125 / 40))
    assert {int(one.sum()) for one in kept} == {500}


def test_text_ids_and_a_repeated_index_give_the_same_counts():
    table = events()
    other = table.assign(customer_id="c" + table["customer_id"].astype(str)).set_index(pd.Index([0] * len(table)))
    how: dict[str, Any] = {"epsilon": 500.0, "customer": "customer_id", "most_cells": 5, "rehearsal": 1}
    one, two = (private_counts(t, {"cell": list("abcde")}, budget=Budget(500), **how) for t in (table, other))
    assert one.table.equals(two.table)


def test_budget_adds_what_is_about_the_same_people_and_takes_the_dearest_part():
    budget = Budget(2.0)
    budget.spend(0.5, "all")
    budget.spend(0.25, "a", within=("region", "north"))
    budget.spend(0.5, "b", within=("region", "north"))
    budget.spend(0.6, "a", within=("region", "south"))
    assert budget.spent == pytest.approx(0.5 + 0.75)
    budget.spend(0.3, "a", within=("age", "young"))  # another partition overlaps the first, so it adds
    assert budget.spent == pytest.approx(1.55)
    assert budget.left == pytest.approx(0.45)
    assert "region = north" in repr(budget)
    with pytest.raises(ContractError, match="does not allow 'too much'"):
        budget.spend(0.46, "too much")
    assert len(budget.ledger) == 5
    budget.spend(0.15, "free", within=("region", "south"))  # still not dearer than the north
    assert budget.spent == pytest.approx(1.55)


@given(st.lists(st.tuples(st.floats(0.01, 1), st.sampled_from(["", "n", "s", "e"])), max_size=20))
@settings(max_examples=50, deadline=None)
def test_no_customer_loses_more_than_the_budget(entries):
    """What one customer of each part loses is the sum of the whole and of the own part; never above what is booked."""
    budget, mine = Budget(3.0), dict.fromkeys("nse", 0.0)
    for epsilon, part in entries:
        try:
            budget.spend(epsilon, "x", within=("region", part) if part else None)
        except ContractError:
            continue
        for one in mine:
            mine[one] += epsilon if part in ("", one) else 0.0
    assert max(mine.values()) <= budget.spent + 1e-9 <= 3.0 + 1e-6


def test_many_small_spendings_reach_the_budget_exactly():
    budget = Budget(0.3)
    for _ in range(3):
        budget.spend(0.1, "a tenth")
    assert budget.left == pytest.approx(0, abs=1e-12)
    with pytest.raises(ContractError, match=r"from 0\.3 to"):
        budget.spend(0.001, "one more")


def test_a_ledger_goes_on_in_the_next_session(tmp_path):
    budget = Budget(1.0)
    private_counts(people(), CELLS, epsilon=0.5, budget=budget, within=("region", "north"))
    private_counts(people(), {"age": CELLS["age"]}, epsilon=0.25, budget=budget)
    budget.ledger.to_csv(tmp_path / "ledger.csv", index=False)
    later = Budget(1.0, ledger=pd.read_csv(tmp_path / "ledger.csv"))
    assert later.spent == budget.spent == 0.75
    assert later.ledger.equals(budget.ledger)
    later.spend(0.5, "the south", within=("region", "south"))
    assert later.spent == 0.75
    with pytest.raises(ContractError, match="more than the budget"):
        Budget(0.5, ledger=budget.ledger)
    with pytest.raises(ContractError, match="a ledger needs columns"):
        Budget(1.0, ledger=people())


def test_a_refused_table_costs_nothing_and_a_wrong_one_neither():
    budget = Budget(0.4)
    with pytest.raises(ContractError, match="does not allow 'customers by region × age'"):
        private_counts(people(), CELLS, epsilon=0.5, budget=budget)
    with pytest.raises(ContractError, match="list every value"):
        private_counts(people(), {"age": [20]}, epsilon=0.1, budget=budget)
    assert budget.spent == 0


def test_a_part_counts_its_own_customers_only():
    table = people(500)
    budget = Budget(500)
    north = private_counts(table, {"age": CELLS["age"]}, epsilon=100.0, budget=budget, within=("region", "north"))
    exact = table[table["region"] == "north"].groupby("age").size().tolist()
    assert north.table["count"].tolist() == exact
    moved = pd.concat([table, table.head(3).assign(region="elsewhere")])
    with pytest.raises(ContractError, match="3 customers have several values of 'region'"):
        private_counts(
            moved, {"age": CELLS["age"]}, epsilon=1.0, budget=budget, within=("region", "north"), customer="customer_id"
        )


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"epsilon": 0}, "epsilon must be a finite number above 0"),
        ({"epsilon": float("nan")}, "above 0"),
        ({"epsilon": True}, "above 0"),
        ({"level": 1.0}, "level"),
        ({"budget": 1.0}, "must be a Budget"),
        ({"most_cells": 0, "customer": "customer_id"}, "most_cells must be"),
        ({"most_cells": 2}, "needs `customer`"),
        ({"rehearsal": -1}, "rehearsal must be"),
        ({"cells": {}}, "must map each column"),
        ({"cells": {"age": []}}, "different values"),
        ({"cells": {"age": [20, 20, 30, 40]}}, "different values"),
        ({"cells": {"region": "north"}}, "different values"),
        ({"cells": {"region": 5}}, "different values"),
        ({"cells": {"region": [["north"], ["south"]]}}, "different values"),
        ({"cells": {"count": [1]}}, "as a column of the result"),
        ({"within": "region"}, "within must be a column and a value"),
        ({"epsilon": 1e-300}, "1e-9 or more"),
        ({"cells": {"age": [20, 30, None]}}, "different values"),
        ({"cells": {"age": list(range(400)), "customer_id": list(range(300))}}, "more than 100,000 cells"),
        ({"cells": {"income": ["low"]}}, "'income'"),
        ({"customer": "nobody"}, "'nobody'"),
        ({"cells": {"region": ["north"]}}, r"column 'region': \d+ rows hold values that are not listed \('south'\)"),
    ],
)
def test_private_counts_refuses(how, words):
    given_all: dict[str, Any] = {"cells": CELLS, "epsilon": 0.5, "budget": Budget(1)} | how
    cells = given_all.pop("cells")
    with pytest.raises(ContractError, match=words):
        private_counts(people(), cells, **given_all)


def test_missing_values_are_refused():
    hole = people().assign(age=lambda t: t["age"].where(t.index > 3))
    with pytest.raises(ContractError, match="4 rows hold values"):
        private_counts(hole, CELLS, epsilon=0.5, budget=Budget(1))
    nobody = people().assign(customer_id=lambda t: t["customer_id"].where(t.index > 0))
    with pytest.raises(ContractError, match="'customer_id' is missing in 1 rows"):
        private_counts(nobody, CELLS, epsilon=0.5, budget=Budget(1), customer="customer_id")
    wrongs: list[Any] = [0, float("inf"), "much", True]
    for wrong in wrongs:
        with pytest.raises(ContractError, match="a privacy budget must be"):
            Budget(wrong)


def test_figures():
    found = private_counts(people(), CELLS, epsilon=0.5, budget=Budget(1), rehearsal=1)
    ax = plot_private_counts(found, truth=np.arange(6))
    order = found.table.sort_values("count", kind="stable")
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        f"{r}, {a}" for r, a in zip(order["region"], order["age"], strict=True)
    ]
    np.testing.assert_allclose(np.asarray(ax.collections[-1].get_offsets())[:, 0], order.index)
    with pytest.raises(ContractError, match="6 cells"):
        plot_private_counts(found, truth=[1, 2])
    made = generalise(people(), {"age": [10], "region": []}, k=10, suppress=0.1)
    ax = plot_generalised(made)
    assert sum(len(np.asarray(one.get_offsets())) for one in ax.collections[:2]) == len(made.nodes)
    assert np.asarray(ax.collections[3].get_offsets())[0].tolist() == pytest.approx([made.suppressed / 120, made.loss])
    plt.close("all")


def test_values_of_every_type_are_found():
    table = pd.DataFrame(
        {
            "member": [True, False, True],
            "band": pd.Categorical(["low", "high", "low"], categories=["low", "high", "never"]),
            "since": pd.to_datetime(["2024-01-01", "2024-02-01", "2024-01-01"]),
        }
    )
    values: dict[str, list[Any]] = {
        "member": [False, True],
        "band": ["low", "high"],
        "since": list(table["since"].unique()),
    }
    for name, listed in values.items():
        found = private_counts(table, {name: listed}, epsilon=100.0, budget=Budget(100), rehearsal=1).table
        exact = table[name].astype(object).value_counts()
        assert found["count"].tolist() == [exact[one] for one in listed]
    nobody = private_counts(table, {"member": [True]}, epsilon=100.0, budget=Budget(100), within=("band", "never"))
    assert nobody.table["count"].tolist() == [0]
    with pytest.raises(ContractError, match="not listed"):
        private_counts(table, {"member": ["True", "False"]}, epsilon=1.0, budget=Budget(1))


def test_a_part_under_another_name_is_still_the_same_part(tmp_path):
    """1, 1.0, True and "01" pick the same customers, or may do: their spendings add."""
    table, cells = people().assign(one=1), {"region": CELLS["region"]}
    names: list[Any] = [1, 1.0, True, np.int64(1)]
    for name in names:
        budget = Budget(1.5)
        private_counts(table, cells, epsilon=1.0, budget=budget, within=("one", 1))
        with pytest.raises(ContractError, match="does not allow"):
            private_counts(table, cells, epsilon=1.0, budget=budget, within=("one", name))
    dated = table.assign(since=pd.Timestamp("2024-01-01"))
    budget = Budget(1.5)
    private_counts(dated, cells, epsilon=1.0, budget=budget, within=("since", "2024-01-01"))
    with pytest.raises(ContractError, match="does not allow"):
        private_counts(dated, cells, epsilon=1.0, budget=budget, within=("since", pd.Timestamp("2024-01-01")))
    budget = Budget(2.0)
    budget.spend(0.5, "all")
    budget.spend(1.0, "a part", within=("postcode", "01"))
    budget.ledger.to_csv(tmp_path / "ledger.csv", index=False)  # read again, "01" is the number 1.0
    later = Budget(2.0, ledger=pd.read_csv(tmp_path / "ledger.csv"))
    with pytest.raises(ContractError, match="does not allow"):
        later.spend(1.0, "again", within=("postcode", "01"))


def test_a_ledger_that_lost_the_name_of_a_part_is_refused(tmp_path):
    budget = Budget(1.0)
    budget.spend(1.0, "a part", within=("region", "NA"))
    budget.ledger.to_csv(tmp_path / "ledger.csv", index=False)
    with pytest.raises(ContractError, match="keep_default_na=False"):
        Budget(1.0, ledger=pd.read_csv(tmp_path / "ledger.csv"))
    later = Budget(1.0, ledger=pd.read_csv(tmp_path / "ledger.csv", keep_default_na=False))
    with pytest.raises(ContractError, match="does not allow"):
        later.spend(1.0, "again", within=("region", "NA"))
