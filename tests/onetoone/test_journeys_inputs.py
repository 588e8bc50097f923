"""What journeys refuse, and in which words; and their figures."""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from crmlab.errors import ContractError
from crmlab.onetoone import (
    attribute,
    compare_variants,
    funnel,
    holdout_effects,
    journey_graph,
    sessions,
    shapley,
    touch_paths,
)
from crmlab.onetoone.journeys_plots import plot_credit, plot_funnel, plot_journey

DAYS = pd.to_datetime(["2024-05-01", "2024-05-02", "2024-05-03", "2024-05-04"])
LOG = pd.DataFrame({"cookie_id": [1, 1, 2, 2], "timestamp": DAYS, "page": list("abab")})
TOUCHES = pd.DataFrame({"customer_id": [1, 1, 2, 3], "timestamp": DAYS, "channel": list("abab")})
BOUGHT = pd.DataFrame({"customer_id": [1], "date": DAYS[3:]})
HELD = pd.DataFrame(
    {"customer_id": range(80), "channel": "a", "held_out": [True, False] * 40, "opportunities": [1, 2, 3, 4] * 20}
)
Y = pd.Series([0.0, 1.0] * 40)
FORMS = pd.DataFrame({"form": list("ABAB"), "done": [0, 1, 1, 1], "who": range(4), "visits": [1, 2, 1, 2]})
STEPS = LOG.assign(session=[0, 0, 1, 1])


def with_value(frame, column, row, value):
    changed = frame.copy()
    changed[column] = changed[column].astype(object)
    changed.loc[row, column] = value
    return changed


def cut(**options):
    return lambda: sessions(options.pop("log", LOG), **options)


def credit(rule="last", paths=None, **options):
    return lambda: attribute(
        touch_paths(TOUCHES, BOUGHT, customers=range(1, 6)) if paths is None else paths, rule, seed=1, **options
    )


def compare(table=FORMS, **options):
    words = {"variant": "form", "outcome": "done", "cluster": "who"}
    return lambda: compare_variants(table, **(words | options))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (cut(log=LOG.rename(columns={"page": "pag"})), r"'page' \(did you mean 'pag'\?\)"),
        (cut(log=LOG.head(0)), "without a click"),
        (cut(log=LOG.assign(session=1)), "has a column 'session' already"),
        (cut(log=LOG.assign(timestamp=LOG["timestamp"].astype(str))), "it is of type str; use pd.to_datetime"),
        (cut(log=LOG.assign(timestamp=LOG["timestamp"].dt.tz_localize("UTC"))), "without a time zone"),
        (cut(log=LOG.assign(timestamp=LOG["timestamp"].where(LOG.index > 0))), r"timestamp: missing in 1 rows \(fi"),
        (cut(log=with_value(LOG, "cookie_id", 2, None)), r"cookie_id: missing in 1 rows \(first: 3\)"),
        (cut(gap=0), "gap must be a positive number of minutes, got 0"),
        (cut(gap=np.nan), "gap must be a positive"),
        (cut(most_a_day=0), "most_a_day must be a whole number"),
        (cut(most_a_day=1.5), "most_a_day must be a whole number"),
        (lambda: sessions(LOG.assign(cookie_id=1, timestamp=DAYS[0], page=list("abcd")), most_a_day=1), "every click"),
        (lambda: journey_graph(STEPS.head(0)), "no step"),
        (lambda: journey_graph(with_value(STEPS, "page", 1, None)), r"page: missing in 1 rows \(first: 2\)"),
        (lambda: journey_graph(STEPS, end="a"), "a state is called a, like the start or an end"),
        (lambda: journey_graph(STEPS, end="start"), "a state is called start"),
        (lambda: journey_graph(STEPS, end=pd.Series({0: "x"})), r"no value for 1 journeys \(first: 1\)"),
        (lambda: journey_graph(STEPS, end=pd.Series(["x", "y", "z"], [0, 0, 1])), "a journey twice in its index"),
        (lambda: funnel(STEPS, []), "at least one step and one stage"),
        (lambda: funnel(STEPS, ["c"]), "stage 'c' is not a value of 'page'"),
        (lambda: funnel(STEPS, ["a", "a"]), "stage 'a' is named twice"),
        (lambda: funnel(STEPS.assign(who=range(4)), ["a"], cluster="who"), "session 0 belongs to more than one who"),
        (lambda: funnel(with_value(STEPS, "session", 1, None), ["a"]), "session: missing in 1 rows"),
        (lambda: funnel(STEPS, ["a"], level=1), "level must lie"),
        (lambda: touch_paths(TOUCHES.head(0), BOUGHT), "touches: no row"),
        (lambda: touch_paths(TOUCHES, BOUGHT.drop(columns="date")), "'date'"),
        (lambda: touch_paths(TOUCHES.assign(timestamp="May"), BOUGHT), "touches: column 'timestamp' must hold times"),
        (lambda: touch_paths(with_value(TOUCHES, "channel", 3, None), BOUGHT), "touches, channel: missing in 1 rows"),
        (lambda: touch_paths(TOUCHES, pd.concat([BOUGHT, BOUGHT])), r"again \(keep the first, or make a key per order"),
        (lambda: touch_paths(TOUCHES, BOUGHT, customers=[1, 2]), "1 customers with touches or conversions are not in"),
        (lambda: touch_paths(TOUCHES, BOUGHT, customers=[1, 1, 2, 3]), "names 1 customers more than once"),
        (lambda: touch_paths(TOUCHES, BOUGHT, lookback=0), "lookback must be a positive number"),
        (lambda: touch_paths(TOUCHES.head(2), BOUGHT.assign(date=pd.Timestamp("2024-01-01"))), "no touch came before"),
        (credit("lst"), "rule must be one of first, last"),
        (credit(paths=TOUCHES), "needs the result of touch_paths, not DataFrame"),
        (credit("markov", order=4), "order must be a whole number from 1 to 3, got 4"),
        (credit("markov", order=np.nan), "order must be a whole number"),
        (credit(draws=0), "draws must be a whole number"),
        (credit("time_decay", half_life=0), "half_life must be a positive"),
        (credit("time_decay", half_life=np.inf), "half_life must be a positive"),
        (credit(level=0), "level must lie"),
        (credit(paths=touch_paths(TOUCHES, BOUGHT.assign(customer_id=9))), "nobody with a touch converted"),
        (credit("shapley_rates", touch_paths(TOUCHES, BOUGHT)), "nobody has exactly: no channel"),
        (lambda: shapley({}), "for 1 to 12 players, got 0"),
        (lambda: shapley({tuple(range(13)): 1.0}), "got 13: join some"),
        (lambda: shapley({"a": 1, ("a", "b"): 2}), r"no worth of \{b\}"),
        (lambda: shapley({"a": np.nan}), r"\{a\}: nan is no finite number"),
        (lambda: shapley(with_value(pd.DataFrame({"a": [0.0]}), "a", 0, "much").loc[0].to_dict()), "no finite number"),
        (lambda: shapley({("a",): 1, frozenset("a"): 2}), "a coalition is named twice"),
        (lambda: holdout_effects(HELD.head(0), Y), "at least one row"),
        (lambda: holdout_effects(with_value(HELD, "held_out", 1, None), Y), "held_out: missing in 1 rows"),
        (lambda: holdout_effects(with_value(HELD, "held_out", 1, "perhaps"), Y), "neither yes nor no in 1 rows"),
        (lambda: holdout_effects(HELD.assign(opportunities=-1), Y), "no number of 0 or more in 80 rows"),
        (lambda: holdout_effects(with_value(HELD, "opportunities", 0, "x"), Y), "no number of 0 or more in 1 rows"),
        (lambda: holdout_effects(pd.concat([HELD, HELD]), Y), "customer_id and channel: twice in 80 rows"),
        (lambda: holdout_effects(HELD, Y.head(70)), r"no finite number for 10 customers \(first: 70\)"),
        (lambda: holdout_effects(HELD, pd.concat([Y, Y])), "must be a Series"),
        (lambda: holdout_effects(HELD, Y.replace(1.0, np.inf)), "no finite number for 40 customers"),
        (lambda: holdout_effects(HELD.head(39), Y), "has 19 treated and 20 held-out customers"),
        (lambda: holdout_effects(HELD, Y, level=2), "level must lie"),
        (compare(outcome="don"), "'don'"),
        (compare(FORMS.assign(form="A")), "two variants are compared, found A"),
        (compare(FORMS.assign(form=None)), "form: missing in 4 rows"),
        (compare(FORMS.assign(done=[0, 1, np.nan, 1])), "done: not a finite number in 1 rows"),
        (compare(FORMS.assign(done=list("abcd"))), "done: no numbers"),
        (compare(FORMS.assign(visits=-1), per="visits"), "visits: negative in 4 rows"),
        (compare(FORMS.assign(visits=0), per="visits"), "variant 'A' has 2 visitors and a denominator of 0"),
        (compare(FORMS.assign(who=0)), "has 1 visitors"),
        (compare(FORMS.head(0)), "no row"),
    ],
)
def test_refusals_name_the_reason(call, words):
    with pytest.raises(ContractError, match=words):
        call()


def test_ids_may_be_text_and_one_customer_is_enough():
    as_text = TOUCHES.assign(customer_id=TOUCHES["customer_id"].astype(str))
    found = attribute(touch_paths(as_text.head(2), BOUGHT.assign(customer_id="1")), "markov", seed=1)
    assert found.table["credit"].to_dict() == {"a": 0.5, "b": 0.5}
    assert sessions(LOG.head(1)).table["pages"].tolist() == [1]
    assert funnel(STEPS.head(2), ["a", "b"]).table["reached"].tolist() == [1, 1, 1]


def test_figures_show_what_they_say():
    graph = journey_graph(pd.concat([STEPS, STEPS.assign(session=2).iloc[[1, 1, 0]]]))
    texts = [one.get_text() for one in plot_journey(graph).texts]
    assert {"start", "a", "b", "then exit:", "again 25%"} <= set(texts)
    assert "50%" in texts  # b is left half the time
    drop = plot_funnel(funnel(STEPS, ["a", "b"]))
    assert [one.get_text() for one in drop.get_yticklabels()] == ["all sessions", "a", "b"]
    assert drop.texts[2].get_text().startswith("2 · 100.0% go on (")
    caused = holdout_effects(HELD, Y)
    last = attribute(touch_paths(TOUCHES.assign(channel="a"), BOUGHT), "last", seed=1)
    ax = plot_credit({"last touch": last}, caused, truth=pd.Series({"a": 3.0}))
    assert ax.get_legend_handles_labels()[1] == ["truth", "last touch", "holdout"]
    with pytest.raises(ContractError, match="on the same channels"):
        plot_credit({"last touch": credit()()}, caused)
    with pytest.raises(ContractError, match="least must be a share"):
        plot_journey(graph, least=1)
    plt.close("all")
