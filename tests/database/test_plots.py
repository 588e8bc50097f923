"""Figures show the numbers of their result, label them, and draw where they are told."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from crmlab.database import cohort_table, kmeans_segments, plots, rfm, segment_stability
from crmlab.datasets.company import simulate
from crmlab.errors import ContractError

pytestmark = pytest.mark.usefixtures("figures")


@pytest.fixture(scope="module")
def scores(sample):
    return rfm(sample)


@pytest.fixture(scope="module")
def log():
    return simulate(2_000, seed=5, years=2, scenario="textbook")["orders"]


@pytest.fixture(scope="module")
def cohorts(log):
    return cohort_table(log, period="quarter", acquisition="observed")


def cells(ax) -> list[str]:
    return [text.get_text() for text in ax.texts]


def legend(ax) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def heights(ax) -> list[float]:
    return [bar.get_height() for bar in ax.patches]


def test_lorenz_states_the_top_share(ax, scores):
    values = scores.table["amount"]
    assert plots.plot_lorenz({"first": values, "equal": np.ones(5)}, top=0.2, ax=ax) is ax
    labels = legend(ax)
    assert labels[1:] == ["equal: the top 20% hold 20%", "all equal"]
    assert labels[0].startswith("first: the top 20% hold 6")
    assert np.asarray(ax.lines[0].get_ydata())[-1] == pytest.approx(1)
    assert legend(plots.plot_lorenz(values))[0].startswith("customers: the top 20%")


def test_rfm_heatmap_counts_customers(ax, scores):
    plots.plot_rfm_heatmap(scores, ax=ax)
    assert sum(int(cell.replace(",", "")) for cell in cells(ax)) == 2357
    assert [label.get_text() for label in ax.get_yticklabels()] == ["5", "4", "3", "2", "1"]
    assert "recency score" in ax.get_ylabel()
    money = plots.plot_rfm_heatmap(scores, "amount")
    best = scores.table.query("r == 5 and f == 5")["amount"].mean()
    assert f"{best:,.0f}" in cells(money)


def test_rfm_heatmap_shows_the_mean_of_any_outcome(ax, scores):
    many = (scores.table.set_index("customer_id")["n_orders"] > 1).rename("bought again")
    plots.plot_rfm_heatmap(scores, many.sample(frac=1, random_state=1), fmt=".0%", ax=ax)
    assert set(cells(ax)) == {"0%", "100%"}
    assert ax.figure.axes[-1].get_ylabel() == "bought again"


def test_rfm_heatmap_refuses_what_it_cannot_show(scores):
    with pytest.raises(ContractError, match="got 'profit'"):
        plots.plot_rfm_heatmap(scores, "profit")  # type: ignore[arg-type]
    with pytest.raises(ContractError, match=r"lacks 2,356 of the scored customers \(first: 2\)"):
        plots.plot_rfm_heatmap(scores, pd.Series({1: 0.5}))


def test_cohort_lines_start_at_one(ax, cohorts):
    plots.plot_cohorts(cohorts, ax=ax)
    lines = [line for line in ax.lines if len(line.get_ydata())]
    assert len(lines) == 8
    assert {float(line.get_ydata()[0]) for line in lines} == {1.0}
    assert ax.get_xlabel() == "age of the cohort, quarters"
    assert plots.plot_cohorts(cohorts, "amount").get_ylabel() == "money of purchases"


def test_cohort_layers_add_up_to_the_whole_base(ax, cohorts):
    plots.plot_cohort_layers(cohorts, ax=ax)
    assert sum(heights(ax)) == pytest.approx(cohorts.table["amount"].sum())
    assert legend(ax)[-1] == "2022Q1"


def test_an_incomplete_last_period_is_not_drawn(log):
    cut = cohort_table(log, period="quarter", acquisition="observed", observation_end="2023-12-01")
    whole = cohort_table(log, period="quarter", acquisition="observed", observation_end="2023-09-30")
    drawn = plots.plot_cohort_layers(cut)
    assert sum(heights(drawn)) == pytest.approx(whole.table["amount"].sum())


def test_segments_and_transitions(ax, scores):
    features = scores.table.set_index("customer_id")[["days_since_last", "n_orders", "amount"]]
    segments = kmeans_segments(features, k=3, seed=1, log=["n_orders", "amount"])
    plots.plot_segments(segments, ax=ax)
    assert len(cells(ax)) == 9
    assert [label.get_text() for label in ax.get_xticklabels()] == ["days_since_last", "log\nn_orders", "log\namount"]
    stability = segment_stability(segments.labels, segments.labels)
    assert sorted(cells(plots.plot_transitions(stability))) == ["0%"] * 6 + ["100%"] * 3


def test_schema_shows_every_table_and_reference(ax, db, shop):
    wide = shop["products"].assign(**{f"extra_{i}": i for i in range(9)})
    db.load(shop | {"products": wide})
    schema = db.schema()
    plots.plot_schema(schema, ax=ax)
    drawn = cells(ax)
    assert set(drawn) >= {"customers", "orders", "lines", "products", "campaigns", "contacts", "responses"}
    assert "... 3 more" in drawn
    arrows = [text for text in ax.texts if getattr(text, "arrow_patch", None) is not None]
    assert len(arrows) == (schema["references"] != "").sum()
    assert isinstance(plots.plot_schema(schema), mpl.axes.Axes)
    assert isinstance(schema, pd.DataFrame)
