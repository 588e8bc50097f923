"""Sessions, the journey graph and the funnel: against the simulator, hand counts, and other ways to compute them."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmlab.datasets.company import simulate
from crmlab.datasets.company.journeys import _FORMS, _VISITS
from crmlab.onetoone import funnel, journey_graph, sessions
from crmlab.relationship import absorption


@pytest.fixture(scope="module")
def shop():
    return simulate(2_000, seed=3, years=2)


def minutes(*values):
    return pd.Timestamp("2024-05-01 09:00") + pd.to_timedelta(list(values), "min")


def test_the_half_hour_finds_the_visits_that_the_simulator_drew(shop):
    found = sessions(shop["clicks"])
    seen = found.clicks.groupby("session")["page"].agg(tuple)
    assert set(seen) <= {*_VISITS, *_FORMS}  # every session is one whole path, none is two or a piece of one
    assert found.clicks.groupby("session")["channel"].nunique().eq(1).all()
    assert {len(sessions(shop["clicks"], gap=gap).table) for gap in (9, 45, 74)} == {len(found.table)}


def test_sessions_by_hand():
    log = pd.DataFrame(
        {
            "cookie_id": ["b", "a", "a", "b", "a", "a"],
            "timestamp": minutes(0, 31, 0, 30, 62, 31),  # exactly 30 is no longer silence, 31 is
            "page": ["x", "y", "x", "y", "z", "y"],
        }
    )
    before = log.copy()
    found = sessions(log)
    expected = pd.DataFrame(
        {
            "session": [0, 1, 2, 3],
            "visitor": ["a", "a", "a", "b"],
            "begin": minutes(0, 31, 62, 0),
            "minutes": [0.0, 0.0, 0.0, 30.0],
            "pages": [1, 1, 1, 2],
            "first": ["x", "y", "z", "x"],
            "last": ["x", "y", "z", "y"],
        }
    )
    pd.testing.assert_frame_equal(found.table, expected, check_dtype=False)
    assert found.left_out == {"rows that repeat visitor, time and page": 1}
    assert "1 rows that repeat" in repr(found)
    assert "2 visitors in 4 sessions" in repr(found)
    pd.testing.assert_frame_equal(log, before)


def test_robots_are_left_out_whole_and_reloads_are_no_robots():
    robot = pd.DataFrame({"cookie_id": 1, "timestamp": minutes(*range(30), 3000), "page": "x"})
    person = pd.DataFrame({"cookie_id": 2, "timestamp": minutes(*[5] * 40), "page": "x"})
    found = sessions(pd.concat([robot, person]), most_a_day=29)
    assert found.table["visitor"].tolist() == [2]
    assert list(found.left_out.values()) == [39, 31]
    assert len(sessions(robot, most_a_day=30).table) == 2


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 500), st.sampled_from("xy")), min_size=1, max_size=40),
    st.floats(0.5, 400),
)
@settings(max_examples=80, deadline=None)
def test_sessions_are_the_runs_without_a_long_pause(rows, gap):
    log = pd.DataFrame(rows, columns=["cookie_id", "minute", "page"])
    log["timestamp"] = minutes(*log.pop("minute"))
    expected = 0
    for _, times in log.groupby("cookie_id")["timestamp"]:
        ordered = sorted(times)
        pauses = [(b - a).total_seconds() / 60 for a, b in pairwise(ordered)]
        expected += 1 + sum(pause > gap for pause in pauses)
    found = sessions(log, gap=gap)
    assert len(found.table) == expected
    assert found.table["pages"].sum() == len(log.drop_duplicates())
    shuffled = sessions(log.sample(frac=1, random_state=1), gap=gap)
    assert shuffled.table["begin"].tolist() == found.table["begin"].tolist()


def test_journey_graph_by_hand():
    steps = pd.DataFrame({"session": [7, 3, 7, 3, 3], "page": list("abbbc")})
    graph = journey_graph(steps, end=pd.Series({3: "bought", 7: "left"}))
    assert graph.counts.loc["start"].to_dict() == {"a": 1, "b": 1, "c": 0, "left": 0, "bought": 0}
    assert graph.counts.loc["b"].to_dict() == {"a": 0, "b": 1, "c": 1, "left": 1, "bought": 0}
    assert graph.probabilities.loc["b", "c"] == pytest.approx(1 / 3)
    assert graph.journeys == 2
    assert repr(graph).startswith("2 journeys")


def test_journey_graph_keeps_the_order_of_categories_and_of_the_flow():
    pages = pd.Categorical(["form", "home", "form"], ["home", "form", "never"])
    graph = journey_graph(pd.DataFrame({"session": [1, 2, 2], "page": pages}))
    assert graph.counts.index.tolist() == ["start", "home", "form"]


@given(st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=6), min_size=1, max_size=15), st.data())
@settings(max_examples=60, deadline=None)
def test_steps_into_a_state_are_steps_out_of_it_and_the_chain_ends_as_often_as_seen(journeys, data):
    ends = pd.Series([data.draw(st.sampled_from(["won", "lost"])) for _ in journeys])
    rows = [(i, state) for i, path in enumerate(journeys) for state in path]
    graph = journey_graph(pd.DataFrame(rows, columns=["session", "page"]), end=ends)
    states = graph.counts.index[1:]
    assert (graph.counts.sum()[states] == graph.counts.sum(axis=1)[states]).all()
    names = [*graph.counts.index, *ends.unique()]
    square = graph.probabilities.reindex(index=names, columns=names).fillna(0.0)
    for name in ends.unique():
        square.loc[name, name] = 1.0
    assert absorption(square).loc["start"].to_dict() == pytest.approx(ends.value_counts(normalize=True).to_dict())


def test_funnel_by_hand_needs_the_order_of_the_stages():
    rows = {1: "hfc", 2: "hhf", 3: "fh", 4: "xhxfxc", 5: "c"}
    steps = pd.DataFrame([(unit, page) for unit, path in rows.items() for page in path], columns=["session", "page"])
    found = funnel(steps.sample(frac=1, random_state=1).sort_values("session", kind="stable"), ["h"])
    assert found.table["reached"].tolist() == [5, 4]
    table = funnel(steps, ["h", "f", "c"]).table
    assert table["reached"].tolist() == [5, 4, 3, 2]
    assert table["lost"].tolist() == [0, 1, 1, 1]
    assert table["continued"].iloc[1:].tolist() == [4 / 5, 3 / 4, 2 / 3]
    assert table.index[0] == "all sessions"
    interleaved = steps.assign(place=steps.groupby("session").cumcount()).sort_values("place")
    assert funnel(interleaved, ["h", "f", "c"]).table.equals(table)
    assert "5 units of 5 independent visitors" in repr(funnel(steps, ["h"]))


def test_a_stage_that_nobody_reaches_in_order_has_no_next_share():
    steps = pd.DataFrame({"session": [1, 1, 1], "page": list("cba")})
    table = funnel(steps, ["a", "b", "c"]).table
    assert table["reached"].tolist() == [1, 1, 0, 0]
    assert table["continued"].isna().tolist() == [True, False, False, True]


def test_without_clusters_the_interval_is_wilsons():
    from crmlab.stats import proportion_interval

    steps = pd.DataFrame({"session": range(50), "page": ["h"] * 20 + ["x"] * 30})
    row = funnel(steps, ["h"]).table.loc["h"]
    wilson = proportion_interval(20, 50)
    assert (row["low"], row["high"]) == pytest.approx((wilson.low, wilson.high), rel=0.02)  # G / (G - 1)


@pytest.mark.parametrize("clusters", [40, 400])
def test_funnel_intervals_cover_with_clusters_and_would_not_without(clusters):
    rng = np.random.default_rng(11)
    inside: dict[str | None, float] = {"person": 0, None: 0}
    runs, truth = 200, 0.3
    for _ in range(runs):
        habit = rng.beta(0.9, 2.1, clusters)  # mean 0.3, people differ much
        number = rng.integers(1, 12, clusters)
        who = np.repeat(np.arange(clusters), number)
        done = rng.random(len(who)) < habit[who]
        steps = pd.DataFrame({"session": range(len(who)), "page": np.where(done, "h", "x"), "person": who})
        for cluster in inside:
            low, high = funnel(steps, ["h"], cluster=cluster).table.loc["h", ["low", "high"]].to_numpy(dtype=float)
            inside[cluster] += bool(low <= truth <= high)
    assert 0.91 <= inside["person"] / runs <= 0.985
    assert inside[None] / runs < 0.8
