"""What the figures of loyalty show."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from crmlab.errors import ContractError
from crmlab.models.paths import PathModel
from crmlab.relationship import loyalty_plots as plots
from crmlab.relationship.brand_loyalty import double_jeopardy
from crmlab.relationship.loyalty import importance_performance, loyalty_matrix
from crmlab.relationship.recommendation import net_promoter_score

mpl.use("Agg")


pytestmark = pytest.mark.usefixtures("figures")


def texts(ax) -> list[str]:
    return [text.get_text() for text in ax.texts]


def marks(ax) -> list[float]:
    """Where the points of lines lie, from the first to the last."""
    return [float(np.ravel(line.get_xdata())[0]) for line in ax.lines if line.get_marker() == "o"]


def dots(ax, number: int) -> np.ndarray:
    """The one scatter with so many points."""
    (found,) = [one for one in map(np.asarray, (c.get_offsets() for c in ax.collections)) if len(one) == number]
    return found


def test_effects_are_hollow_where_zero_is_inside():
    index = pd.MultiIndex.from_tuples([("a", "b"), ("b", "c")])
    table = pd.DataFrame({"estimate": [0.5, 0.1], "low": [0.3, -0.1], "high": [0.7, 0.3]}, index=index)
    ax = plots.plot_effects(table)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a → b", "b → c"]
    points = [line for line in ax.lines if line.get_marker() == "o"]
    assert marks(ax) == [0.5, 0.1]
    assert [point.get_markerfacecolor() == "white" for point in points] == [False, True]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first on top
    with pytest.raises(ContractError, match="'high'"):
        plots.plot_effects(table[["estimate", "low"]])


def test_importance_performance_shows_every_construct():
    rng = np.random.default_rng(1)
    answers = pd.DataFrame(rng.integers(1, 11, (60, 3)), columns=list("xyz")).assign(z=lambda t: t["x"])
    fit = PathModel(answers, {"a": ["x"], "b": ["y"], "c": ["z"]}, [("a", "b"), ("b", "c")]).fit()
    result = importance_performance(fit, "c", lowest=1, highest=10)
    ax = plots.plot_importance_performance(result)
    assert sorted(texts(ax)) == ["a", "b"]
    assert dots(ax, 2) == pytest.approx(result.table[["importance", "performance"]].to_numpy())
    assert ax.get_xlabel() == "importance: points of c per point"


def test_matrix_shows_shares_and_outcome():
    said, done = pd.Series([9, 8, 3, 2, 9, 2]), pd.Series([12, 9, 1, 2, 1, 8])
    ax = plots.plot_loyalty_matrix(loyalty_matrix(said, done, done), outcome="orders", ax=plt.subplots()[1])
    assert len(ax.patches) == 4
    assert any(text.startswith("loyalty\n33% of customers\norders: 10.50") for text in texts(ax))
    plain = plots.plot_loyalty_matrix(loyalty_matrix(said, done))
    assert "latent loyalty\n17% of customers" in texts(plain)


def test_scores_are_drawn_in_their_order():
    scores = {"one": net_promoter_score([10] * 9 + [3]), "two": net_promoter_score([10, 3])}
    ax = plots.plot_net_promoter_scores(scores)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["one (n = 10)", "two (n = 2)"]
    assert marks(ax) == [80, 0]
    with pytest.raises(ContractError, match="no score"):
        plots.plot_net_promoter_scores({})


def test_brands_lie_over_their_norm():
    rng = np.random.default_rng(2)
    bought = pd.DataFrame(rng.multinomial(6, rng.dirichlet([0.8, 0.4, 0.3], 80)), columns=list("ABC"))
    result = double_jeopardy(bought, seed=1, n=100)
    ax = plots.plot_double_jeopardy(result, "purchases_per_buyer")
    rows = result.table.xs("purchases_per_buyer", level="measure")
    assert dots(ax, 3) == pytest.approx(rows[["share", "observed"]].to_numpy())
    assert sorted("\n".join(texts(ax)).split("\n")) == ["A", "B", "C"]
    assert ax.get_ylabel() == "purchases per buyer of the brand"
    with pytest.raises(ContractError, match="measure must be one of penetration"):
        plots.plot_double_jeopardy(result, "loyalty")  # type: ignore[arg-type]


def test_brands_that_coincide_share_a_label():
    bought = pd.DataFrame({"A": [5, 4, 0, 1], "B": [1, 0, 2, 0], "C": [1, 0, 0, 2], "D": [0, 2, 3, 3]})
    ax = plots.plot_double_jeopardy(double_jeopardy(bought, seed=1, n=100))
    assert any("\n" in text for text in texts(ax))
    assert sorted("\n".join(texts(ax)).split("\n")) == ["A", "B", "C", "D"]
