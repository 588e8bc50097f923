"""Figures of differentiated customers: they draw what the results say."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from crmlab.errors import ContractError
from crmlab.onetoone import needs_segments, value_need_grid, variance_shares, whale_curve
from crmlab.onetoone.differentiate_plots import plot_classes, plot_value_need, plot_variance, plot_whale

mpl.use("Agg")
RNG = np.random.default_rng(1)


def test_whale():
    curve = whale_curve([30, 10, 0, -20], seed=1, n=20)
    ax = plot_whale({"shop": curve})
    line, dot = ax.get_lines()[:2]
    np.testing.assert_allclose(np.asarray(line.get_ydata(), float), curve.table["profit"])
    assert np.c_[dot.get_xdata(), dot.get_ydata()].tolist() == [[0.5, 10.0]]
    assert ax.get_legend_handles_labels()[1] == ["shop"]
    assert "money" in ax.get_ylabel()


def test_classes():
    z = RNG.random(300) < 0.4
    frame = pd.DataFrame({"a": RNG.random(300) < np.where(z, 0.9, 0.1), "b": RNG.random(300) < np.where(z, 0.8, 0.2)})
    frame["c"] = np.where(RNG.random(300) < np.where(z, 0.8, 0.3), "red", "blue")
    found = needs_segments(frame.assign(n=RNG.normal(size=300)), classes=2, seed=1, starts=2, resamples=0)
    ax = plot_classes(found)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b", "c: blue", "c: red"]
    np.testing.assert_allclose(np.asarray(ax.get_lines()[0].get_xdata(), float)[:2], found.profile[1].loc[["a", "b"]])
    numbers = needs_segments(pd.DataFrame({"n": RNG.normal(size=60)}), classes=1, seed=1, resamples=0)
    with pytest.raises(ContractError, match="numbers only"):
        plot_classes(numbers)


def test_grid():
    tier, need = ["high"] * 60 + ["low"] * 41, ["play"] * 30 + ["build"] * 70 + ["play"]
    grid = value_need_grid(tier, need, np.r_[np.full(60, 50.0), np.full(41, -3.0)], actions={"high": "x", "low": "y"})
    ax = plot_value_need(grid)
    told = [text.get_text() for text in ax.texts]
    assert told[0] == "30 customers\n50 each\n1,500 in all"
    assert told[3] == "1 customers\ntoo small\n-3 in all"
    assert [label.get_text() for label in ax.get_xticklabels()] == ["build", "play"]
    alone = value_need_grid(["a"] * 3, ["b"] * 3, [1.0, 2.0, 3.0], actions={"a": "x"})
    assert "too small" in plot_value_need(alone).texts[0].get_text()


def test_variance():
    true = np.arange(4) + RNG.normal(size=(200, 1))
    two = [pd.DataFrame(true + RNG.normal(size=true.shape)) for _ in range(2)]
    found = variance_shares(*two, seed=1, n=20)
    ax = plot_variance({"shop": found, "again": found})
    widths = [[bar.get_width() for bar in bars] for bars in ax.containers]
    np.testing.assert_allclose(np.array(widths)[:, 0], found.table["share"].clip(0))
    assert ax.get_legend_handles_labels()[1] == list(found.table.index)
