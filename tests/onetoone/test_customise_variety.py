"""The cost of variety against simulated stock and tastes, and the formulas written anew."""

import dataclasses

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from crmlab.errors import ContractError
from crmlab.onetoone import VarietyPlan, choice_curve, pool_stock, recommend, score_recommendations, variety_profit
from crmlab.onetoone.customise_plots import plot_choice, plot_differences, plot_variety
from tests.onetoone.test_customise_scores import LATER, MODELS

PLAN = VarietyPlan()


def weekly(seed: int, periods: int = 60, variants: int = 9, shared: float = 0.0) -> pd.DataFrame:
    """Normal demand of equal spread with a given correlation."""
    rng = np.random.default_rng(seed)
    common, own = rng.normal(size=(periods, 1)), rng.normal(size=(periods, variants))
    return pd.DataFrame(500 + 20 * (np.sqrt(shared) * common + np.sqrt(1 - shared) * own))


@pytest.mark.parametrize("shared", [0.0, 0.2, 0.7])
def test_the_square_root_law_and_its_correlation(shared):
    found = pool_stock(weekly(1, 20_000, 16, shared), seed=1, n=2)
    assert found.square_root == 4
    assert found.ratio.estimate == pytest.approx(np.sqrt(16 / (1 + 15 * shared)), rel=0.02)
    assert found.correlation == pytest.approx(shared, abs=0.01)


def test_stock_by_its_formula_and_the_correlation_explains_the_ratio():
    demand = weekly(2, shared=0.3) * np.arange(1, 10)
    found = pool_stock(demand, service_level=0.9, lead_time=2.5, seed=1, n=50)
    factor, sd = norm.ppf(0.9) * np.sqrt(2.5), demand.std()
    assert found.separate == pytest.approx(factor * sd.sum())
    assert found.pooled == pytest.approx(factor * demand.sum(axis=1).std())
    mean_correlation = np.average(
        demand.corr().to_numpy()[~np.eye(9, dtype=bool)], weights=np.outer(sd, sd)[~np.eye(9, dtype=bool)]
    )
    assert found.correlation == pytest.approx(mean_correlation)
    assert "each for itself" in repr(found)


def test_stock_lasts_as_often_as_asked():
    """What the formula calls for is held against new weeks of the same demand."""
    found = pool_stock(weekly(3, 4_000), service_level=0.95, seed=1, n=2)
    fresh = weekly(4, 4_000)
    assert (fresh.sum(axis=1) <= 9 * 500 + found.pooled).mean() == pytest.approx(0.95, abs=0.01)
    assert (fresh <= 500 + found.separate / 9).to_numpy().mean() == pytest.approx(0.95, abs=0.01)


@pytest.mark.parametrize("shared", [0.0, 0.3])
def test_the_ratio_is_covered(shared):
    truth, inside = np.sqrt(9 / (1 + 8 * shared)), 0
    for trial in range(200):
        ratio = pool_stock(weekly(100 + trial, 80, 9, shared), seed=trial, n=200).ratio
        inside += ratio.low <= truth <= ratio.high
    assert 0.87 <= inside / 200 <= 0.99, inside  # percentile limits of blocks from 80 weeks fall a little short


def test_variants_that_never_vary_and_pools_that_never_vary():
    demand = weekly(5).assign(still=7.0)
    assert pool_stock(demand, seed=1, n=10).separate == pytest.approx(pool_stock(weekly(5), seed=1, n=10).separate)
    alone = pd.DataFrame({"a": np.arange(10.0), "still": 7.0})
    assert np.isnan(pool_stock(alone, seed=1, n=10).correlation)
    with pytest.raises(ContractError, match="total demand never varies"):
        pool_stock(pd.DataFrame({"a": np.arange(10.0), "b": 9 - np.arange(10.0)}), seed=1)


@pytest.mark.parametrize(
    ("demand", "options", "message"),
    [
        (weekly(1).iloc[:7], {}, "demand has 7 periods of 9 variants; 8 of 2 are needed"),
        (weekly(1), {"block": 31}, "62 of 2 are needed"),
        (weekly(1)[[0]], {}, "60 periods of 1 variants"),
        (-weekly(1), {}, r"540 values are not \(first: period 1, column 0"),
        (weekly(1).mask(weekly(1) == weekly(1)[1][2]), {}, r"1 values are not \(first: period 3, column 1: nan"),
        (weekly(1).assign(name="x"), {}, "columns of demand hold no numbers: name"),
        (weekly(1).to_numpy(), {}, "must be a DataFrame"),
        (weekly(1), {"service_level": 0.5}, "service_level must lie between 0.5 and 1"),
        (weekly(1), {"lead_time": 0}, "lead_time must be"),
        (weekly(1), {"block": 0}, "block must be"),
        (weekly(1), {"n": 0}, "n must be"),
        (weekly(1), {"level": 1.0}, "level must lie"),
    ],
)
def test_demand_that_cannot_be_pooled_is_refused(demand, options, message):
    with pytest.raises(ContractError, match=message):
        pool_stock(demand, **options, seed=1)


def test_misfit_is_that_of_simulated_tastes():
    table, rng = variety_profit(PLAN, [1, 2, 3, 7]).table, np.random.default_rng(1)
    tastes = rng.random((200_000, PLAN.modules))
    for options in (1, 2, 3, 7):
        apart = np.abs(tastes[..., None] - np.arange(options) / options)
        near = np.minimum(apart, 1 - apart).min(axis=-1)  # round the circle
        lost = (PLAN.misfit * near / 0.5).sum(axis=1).mean()
        assert table.loc[("to order", options), "misfit"] == pytest.approx(lost, rel=0.01)


def test_stock_of_variants_and_modules_is_that_of_simulated_weeks():
    """Gamma-Poisson demand of the plan, split at random over variants; the stock is summed from their spreads."""
    plan = dataclasses.replace(PLAN, modules=2, demand=3_000.0, lead_time=1.0)
    rng, options = np.random.default_rng(2), 3
    found = variety_profit(plan, [options]).table["stock"] * plan.demand
    mean = plan.demand / options**2
    variants = rng.negative_binomial(mean / (plan.dispersion - 1), 1 / plan.dispersion, (40_000, options**2))
    to_stock = norm.ppf(plan.service_level) * variants.std(axis=0).sum() * plan.holding
    first_module = variants.reshape(-1, options, options).sum(axis=2)
    per_module = norm.ppf(plan.service_level**0.5) * first_module.std(axis=0).sum() * plan.holding / 2
    assert found["to stock"].item() == pytest.approx(to_stock, rel=0.01)
    assert found["to order"].item() == pytest.approx(2 * per_module, rel=0.01)


def test_counts_costs_and_profit_add_up():
    found = variety_profit(PLAN, [4, 2, 2, 1])
    table = found.table
    assert table["variants"].xs("to stock").to_dict() == {1: 1, 2: 8, 4: 64}
    assert table["listed"].xs("to stock").to_dict() == {1: 1, 2: 8, 4: 64}
    assert table["listed"].xs("to order").to_dict() == {1: 3, 2: 6, 4: 12}
    assert table.loc[("to order", 4), "setup"] == pytest.approx(12 * 30 / 1_000)
    costs = table[["misfit", "setup", "stock", "assembly"]].sum(axis=1)
    assert np.allclose(table["profit"], PLAN.margin - costs)
    assert "best number of options" in repr(found)


def test_one_module_of_free_stock_has_its_best_in_closed_form():
    """With one module and no stock cost, t / (2 O) + F O / D is least at the root of t D / (2 F)."""
    plan = VarietyPlan(modules=1, demand=1_000.0, misfit=8.0, setup=10.0, holding=0.0, assembly=0.0)
    best = variety_profit(plan, range(1, 60)).best["options"]
    assert best.to_dict() == {"to stock": 20, "to order": 20}


@given(
    misfit=st.floats(0, 50), setup=st.floats(0, 200), holding=st.floats(0, 10), assembly=st.floats(0.01, 10),
    modules=st.integers(1, 5),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_laws_of_variety(misfit, setup, holding, assembly, modules):
    plan = dataclasses.replace(PLAN, misfit=misfit, setup=setup, holding=holding, assembly=assembly, modules=modules)
    found, cheaper = variety_profit(plan), variety_profit(dataclasses.replace(plan, assembly=0.0))
    assert np.allclose((cheaper.table["profit"] - found.table["profit"]).xs("to order"), assembly)
    assert found.best["profit"].to_dict() == found.table["profit"].groupby(level=0).max().to_dict()
    more = variety_profit(dataclasses.replace(plan, misfit=misfit + 5)).best["options"]
    assert (more >= found.best["options"]).all()  # who minds more is given more options
    dearer = variety_profit(dataclasses.replace(plan, setup=setup + 50)).best["options"]
    assert (dearer <= found.best["options"]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"modules": 0}, "modules must be a whole number"),
        ({"modules": 2.0}, "modules must be a whole number"),
        ({"demand": 0.0}, "demand must be a finite number above 0"),
        ({"misfit": -1.0}, "misfit must be"),
        ({"holding": np.nan}, "holding must be"),
        ({"service_level": 1.0}, "service_level must lie between"),
        ({"lead_time": np.inf}, "lead_time must be"),
        ({"setup": "dear"}, "setup must be"),
    ],
)
def test_plans_that_cannot_be_are_refused(change, message):
    with pytest.raises(ContractError, match=message):
        dataclasses.replace(PLAN, **change)


@pytest.mark.parametrize("options", [[], [0], [1.5], [2, -1]])
def test_options_that_cannot_be_are_refused(options):
    with pytest.raises(ContractError, match="profit needs numbers of options"):
        variety_profit(PLAN, options)


def test_figures_show_the_numbers():
    scores = score_recommendations({way: recommend(model, 3) for way, model in MODELS.items()}, LATER, seed=1, n=50)
    ax = plot_differences(scores, "hit_rate")
    assert [label.get_text() for label in ax.get_yticklabels()] == ["als", "cosine", "own"]
    assert (
        list(np.asarray(ax.lines[-1].get_xdata()))
        == scores.differences.xs("hit_rate", level=1)["difference"].tolist()[::-1]
    )
    assert ax.get_xlabel() == "hit rate at 3 places, less that of popularity"
    curve = choice_curve(MODELS, LATER, seed=1, n=20)
    ax = plot_choice(curve)
    assert list(np.asarray(ax.lines[0].get_ydata())) == curve.found["popularity"].tolist()
    assert ax.get_legend_handles_labels()[1] == [*MODELS, "by lot"]
    ax = plot_variety(variety_profit(PLAN))
    assert ax.get_legend_handles_labels()[1] == [
        "made to stock",
        "made to order",
        "one for all",
    ]
    assert plot_variety(variety_profit(PLAN, [2, 3]), ax=ax) is ax
    plt.close("all")


def test_figures_of_nothing_are_refused():
    alone = score_recommendations({"als": recommend(MODELS["als"], 3)}, LATER, seed=1, n=10)
    with pytest.raises(ContractError, match="one list alone has no difference"):
        plot_differences(alone)
    with pytest.raises(ContractError, match="metric must be one of"):
        plot_differences(alone, "precision")  # type: ignore[arg-type]
