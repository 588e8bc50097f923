"""Figures show the numbers that they are about."""

import numpy as np
import pandas as pd
import pytest

from crmlab.datasets.company import simulate
from crmlab.errors import ContractError
from crmlab.onetoone import link_records, merge_costs
from crmlab.onetoone.identify_plots import plot_merge_costs, plot_waterfall, plot_weights


@pytest.fixture(scope="module")
def linkage():
    table = simulate(600, seed=1)["identities"]
    return link_records(table.assign(address=table["street"] + " " + table["postcode"]), sample=100_000)


def test_weights_are_drawn_from_the_first_field_down(linkage, ax):
    plot_weights(linkage, ax=ax)
    drawn = [bar.get_width() for bar in ax.patches][::-1]
    np.testing.assert_allclose(drawn, linkage.estimates["weight"])
    assert ax.get_yticklabels()[-1].get_text() == "household: same phone and address"
    assert "log2(m / u)" in ax.get_xlabel()


def test_a_waterfall_ends_at_the_weight_of_the_pair(linkage, ax):
    pair = linkage.pairs.iloc[100]
    plot_waterfall(linkage, pair["left"], pair["right"], ax=ax)
    bars = ax.patches
    assert bars[-1].get_width() == pytest.approx(pair["weight"])
    steps = linkage.explain(pair["left"], pair["right"])
    np.testing.assert_allclose([bar.get_width() for bar in bars[:-1]], steps["weight"])
    np.testing.assert_allclose([bar.get_x() for bar in bars[1:-1]], steps["total"].iloc[:-1])
    assert any("probability" in text.get_text() for text in ax.texts)


def test_costs_are_drawn_near_the_cheapest_threshold(ax):
    rng = np.random.default_rng(1)
    chance = np.clip(rng.beta(0.3, 0.3, 2_000), 1e-9, 1 - 1e-9)
    costs = merge_costs(
        pd.DataFrame({"probability": chance, "same": rng.random(2_000) < chance}), wrong_merge=5, missed_merge=1
    )
    plot_merge_costs({"first": costs, "second": costs}, ax=ax)
    odds, money = ax.lines[0].get_data()
    best = np.log2(costs.best / (1 - costs.best))
    assert np.abs(odds - best).max() <= 12
    assert np.min(money) == pytest.approx(costs.table["cost"].min())
    told = [text.get_text() for text in ax.get_legend().get_texts()]
    assert f"cheapest (first): {costs.best:.3g}" in told
    assert "by theory (second): 0.833" in told


def test_no_figure_of_something_else(figures):
    for wrong in ({}, {"a": 1}):
        with pytest.raises(ContractError, match="needs the result of merge_costs"):
            plot_merge_costs(wrong)  # type: ignore[arg-type]
