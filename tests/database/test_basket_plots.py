"""Figures of baskets show the numbers of their result, label them, and draw where they are told."""

import numpy as np
import pandas as pd
import pytest

from crmlab.database import association_rules, basket_plots, basket_trend, baskets, frequent_itemsets, pairs_within
from crmlab.datasets.company import simulate
from crmlab.errors import ContractError

pytestmark = pytest.mark.usefixtures("figures")


@pytest.fixture(scope="module")
def lines() -> pd.DataFrame:
    return simulate(300, seed=5, years=2)["transactions"]


@pytest.fixture(scope="module")
def held(lines):
    return baskets(lines)


def test_rules_stand_where_their_support_and_lift_are(ax, held):
    rules = association_rules(frequent_itemsets(held, 0.02, max_len=2))
    assert basket_plots.plot_rules(rules, label=2, ax=ax) is ax
    dots, single = ax.collections[0], rules.table.drop_duplicates("test")
    np.testing.assert_allclose(np.asarray(dots.get_offsets()), single[["support", "association_lift"]])
    np.testing.assert_allclose(
        np.asarray(dots.get_array()), rules.table.groupby("test")["confidence"].max()[single["test"]]
    )
    first = rules.table.iloc[0]
    assert ax.texts[0].get_text() == f"{first['antecedent'][0]} → {first['consequent']}"
    assert len(ax.texts) == 2
    assert ax.get_xlabel() == "support (share of orders)"
    with pytest.raises(ContractError, match="no rule to draw"):
        basket_plots.plot_rules(association_rules(frequent_itemsets(held, 0.02, max_len=2), min_confidence=1.0))


def test_pairs_show_the_adjusted_lift_twice(ax, held):
    pairs = pairs_within(held, 0.02)
    items = [34, 35, 31]
    assert basket_plots.plot_pairs(pairs, items, ax=ax) is ax
    shown = [text.get_text() for text in ax.texts]
    lift = pairs.table.query("item_a == 34 and item_b == 35")["adjusted_lift"].item()
    assert shown.count(f"{lift:.1f}") == 2
    assert [label.get_text() for label in ax.get_xticklabels()] == ["34", "35", "31"]
    bar = next(other for other in ax.figure.axes if "by size" in other.get_ylabel())
    assert "1" in [label.get_text() for label in bar.get_yticklabels()]
    with pytest.raises(ContractError, match=r"not in it: \[99\]"):
        basket_plots.plot_pairs(pairs, [34, 99])
    with pytest.raises(ContractError, match="two items or more"):
        basket_plots.plot_pairs(pairs, [34])


def test_penetration_leaves_out_periods_that_the_log_cuts(ax, lines):
    trend = basket_trend(lines[lines["date"] < "2023-06-15"])
    assert basket_plots.plot_penetration(trend, [1, 34], ax=ax) is ax
    drawn = np.asarray(ax.get_lines()[0].get_ydata())
    assert not trend.periods["complete"].iloc[-1]
    np.testing.assert_allclose(drawn, trend.penetration.loc[trend.periods["complete"], 1])
    assert ax.get_legend_handles_labels()[1] == ["1", "34"]
    assert ax.get_ylabel() == "share of orders with the item"
    for items in ([], [99], list(range(1, 11))):
        with pytest.raises(ContractError, match="one to 8 known items"):
            basket_plots.plot_penetration(trend, items)


def test_a_figure_is_made_where_none_is_given(held):
    assert basket_plots.plot_pairs(pairs_within(held, 0.02), [34, 35]).get_figure() is not None
