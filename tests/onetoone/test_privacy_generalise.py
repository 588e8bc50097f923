"""The search for a coarser table: brute force, laws of the lattice, and every refusal."""

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmlab.errors import ContractError
from crmlab.onetoone import anonymity, generalise
from tests.onetoone.test_privacy_anonymity import people

LADDERS: dict[str, Any] = {
    "age": [5, 10],
    "region": [{"north": "coast", "south": "coast", "east": "inland"}],
    "since": ["quarter", "year"],
}


def by_hand(table: pd.DataFrame, k: int, l: int, suppress: float):  # noqa: E741
    """Best loss by a plain loop over plain Python: an independent second opinion."""
    age = [lambda x: x, lambda x: x // 5, lambda x: x // 10, lambda x: "*"]
    region = [lambda x: x, lambda x: "inland" if x == "east" else "coast", lambda x: "*"]
    since = [lambda x: x, lambda x: (x.year, (x.month - 1) // 3), lambda x: x.year, lambda x: "*"]
    best = None
    for f, g, h in product(age, region, since):
        coded = [(f(a), g(r), h(s)) for a, r, s in zip(table["age"], table["region"], table["since"], strict=True)]
        losses = []
        for place, name in enumerate(("age", "region", "since")):
            merged: dict = {}
            for code, value in zip(coded, table[name], strict=True):
                merged.setdefault(code[place], set()).add(value)
            top = max(len(set(table[name])) - 1, 1)
            losses.append([(len(merged[code[place]]) - 1) / top for code in coded])
        members: dict = {}
        for code, value in zip(coded, table["buys"], strict=True):
            members.setdefault(code, []).append(value)
        fine = [len(members[code]) >= k and len(set(members[code])) >= l for code in coded]
        out = len(fine) - sum(fine)
        if out > suppress * len(table) or out == len(table):
            continue
        loss = np.mean([np.mean([col[i] for col in losses]) if ok else 1.0 for i, ok in enumerate(fine)])
        best = loss if best is None else min(best, loss)
    return best


@given(st.integers(5, 60), st.integers(1, 6), st.integers(1, 2), st.sampled_from([0.0, 0.05, 0.3]), st.integers(0, 999))
@settings(max_examples=30, deadline=None)
def test_the_best_combination_is_found(n, k, l, suppress, seed):  # noqa: E741
    table = people(n, seed)
    if table["buys"].nunique() < l or k > n:
        return
    found = generalise(table, LADDERS, k=k, l=l, sensitive="buys", suppress=suppress)
    assert found.loss == pytest.approx(by_hand(table, k, l, suppress))
    assert found.anonymity.k >= k
    assert found.anonymity.l >= l
    assert found.suppressed <= suppress * n + 1e-9
    assert len(found.table) + found.suppressed == n
    again = anonymity(found.table, list(LADDERS), sensitive="buys")
    pd.testing.assert_frame_equal(again.classes, found.anonymity.classes)


@given(st.integers(20, 80), st.integers(2, 6), st.integers(0, 999))
@settings(max_examples=20, deadline=None)
def test_laws_of_the_lattice(n, k, seed):
    """Up the lattice fewer rows go and 'enough' stays; a minimal node has nothing enough below it."""
    nodes = generalise(people(n, seed), LADDERS, k=k, sensitive="buys", l=1, suppress=0.1).nodes
    levels = nodes[list(LADDERS)].to_numpy()
    gone, enough, minimal = (nodes[name].to_numpy() for name in ("suppressed", "enough", "minimal"))
    for i, one in enumerate(levels):
        above, below = (levels >= one).all(axis=1), (levels <= one).all(axis=1)
        assert (gone[above] <= gone[i]).all()
        assert enough[above].all() or not enough[i]
        assert minimal[i] == (enough[i] and not enough[below & ~above].any())


def test_more_protection_never_costs_less():
    table = people(400, 3)
    losses = [generalise(table, LADDERS, k=k, suppress=0.02).loss for k in (1, 2, 5, 20, 100)]
    assert losses == sorted(losses)
    assert losses[0] == 0.0


def test_steps_read_as_a_person_would():
    table = pd.DataFrame(
        {
            "age": [21, 29, 34, 38, None],
            "spend": [1.5, 2.5, 11.0, 12.0, 3.0],
            "day": pd.to_datetime(pd.Series(["2024-01-31", "2024-02-01", "2024-03-31", "2024-04-01", None])),
            "code": ["1201", "1202", "1301", "1302", "1305"],
        }
    )

    def first_two(codes: pd.Series) -> pd.Series:
        return codes.str[:2]

    found = generalise(table, {"age": [10], "spend": [10], "day": ["quarter"], "code": [first_two]}, k=1)
    assert found.loss == 0
    assert all(step is None for step in found.steps.values())
    steps = {"age": 10, "spend": 10, "day": "quarter", "code": first_two}
    coded = type(found)(found.table, found.kept, steps, 0.0, found.nodes, found.anonymity).recode(table)
    assert coded["age"].tolist()[:4] == ["20-29", "20-29", "30-39", "30-39"]
    assert coded["age"].isna().tolist() == [False] * 4 + [True]
    assert coded["spend"].tolist() == ["0 to <10", "0 to <10", "10 to <20", "10 to <20", "0 to <10"]
    assert coded["day"].tolist()[:4] == ["2024Q1", "2024Q1", "2024Q1", "2024Q2"]
    assert coded["code"].tolist() == ["12", "12", "13", "13", "13"]


@pytest.mark.parametrize(
    ("values", "width", "bands"),
    [
        ([0.1, 0.2, 0.3, 0.65], 0.1, ["0.1 to <0.2", "0.2 to <0.3", "0.3 to <0.4", "0.6 to <0.7"]),
        ([1_234_567, 1_234_571], 10, ["1234560-1234569", "1234570-1234579"]),
        ([-1, -10, 5], 10, ["-10 to -1", "-10 to -1", "0-9"]),
    ],
)
def test_bands_hold_what_their_names_say(values, width, bands):
    found = generalise(pd.DataFrame({"x": values}), {"x": [width]}, k=1)
    made = replace(found, steps={"x": width})
    assert made.recode(pd.DataFrame({"x": values}))["x"].tolist() == bands


def test_the_release_carries_nothing_else():
    table = people(200, 1).set_index("customer_id", drop=False).assign(name="Nobody", amount=1.0)
    found = generalise(
        table, {"age": [10], "region": []}, k=5, l=2, sensitive="buys", suppress=0.1, customer="customer_id"
    )
    assert list(found.table.columns) == ["age", "region", "buys"]
    assert found.table.index.equals(pd.RangeIndex(len(found.table)))
    assert found.table.astype(str).apply(tuple, axis=1).is_monotonic_increasing
    assert found.kept.index.equals(table.index)
    kept = found.recode(table)[found.kept].assign(buys=table["buys"])
    assert sorted(map(tuple, kept.to_numpy())) == sorted(map(tuple, found.table.to_numpy()))
    assert "suppressed" in repr(found)
    assert "l = 2" in repr(found) or "l = " in repr(found)


def test_repr_names_every_kind_of_step():
    table = people(300, 2)
    text = repr(generalise(table, LADDERS, k=40))
    assert "gone" in text or "year" in text
    assert "combinations" in text
    groups = {"region": [{"north": "coast", "south": "coast", "east": "inland"}]}
    two = pd.DataFrame({"region": ["north", "south", "east", "east"]})
    assert "2 groups" in repr(generalise(two, groups, k=2))
    coded = pd.DataFrame({"code": ["11", "12", "21", "22"]})

    def first(codes: pd.Series) -> pd.Series:
        return codes.str[:1]

    assert "first" in repr(generalise(coded, {"code": [first]}, k=2))


@pytest.mark.parametrize(
    ("ladders", "how", "words"),
    [
        ({"age": [5]}, {"k": 0}, "k must be a whole number"),
        ({"age": [5]}, {"k": 2.5}, "k must be a whole number"),
        ({"age": [5]}, {"k": True}, "k must be a whole number"),
        ({"age": [5]}, {"l": 0}, "l must be a whole number"),
        ({"age": [5]}, {"l": 2}, "needs the name of a sensitive"),
        ({"age": [5]}, {"l": 9, "sensitive": "buys"}, "'buys' has 4 values"),
        ({"age": [5]}, {"suppress": 1.0}, "suppress must be a share"),
        ({"age": [5]}, {"suppress": float("nan")}, "suppress must be a share"),
        ({"age": [5]}, {"k": 500}, "k = 500 is more than"),
        ({"age": [0]}, {}, "no step"),
        ({"age": [float("inf")]}, {}, "no step"),
        ({"age": [True]}, {}, "no step"),
        ({"region": [5]}, {}, "holds no numbers"),
        ({"age": ["month"]}, {}, "holds no dates"),
        ({"since": ["week"]}, {}, "dates are cut by"),
        ({"region": [{"north": "x"}]}, {}, "does not know"),
        ({"region": [lambda s: 1]}, {}, "must return a Series"),
        ({"age": [10, 5]}, {}, "not nested"),
        ({"age": [4, 6]}, {}, "not nested"),
        ({"age": [5], "infinite": [5]}, {}, "infinite in 1 rows"),
        ({"age": [5], "huge": [5]}, {}, r"beyond 2\*\*53"),
        ({"age": 5}, {}, "a list of steps"),
        (["age"], {}, "a list of steps"),
        ({"age": [5]}, {"suppress": "few"}, "suppress must be a share"),
        ({name: [2, 4, 8] * 2 for name in ("age", *"abcdef")}, {}, "fewer columns"),
        ({}, {}, "at least one column"),
        ({"nowhere": []}, {}, "'nowhere'"),
    ],
)
def test_generalise_refuses(ladders, how, words):
    table = people(60, 1).assign(infinite=[np.inf] + [1.0] * 59, huge=2**60, **{name: range(60) for name in "abcdef"})
    with pytest.raises(ContractError, match=words):
        generalise(table, ladders, **({"k": 2} | how))


def test_one_customer_and_constant_columns():
    one = people(1, 1)
    assert generalise(one, {"age": [5]}, k=1).loss == 0
    same = pd.DataFrame({"age": [30] * 5, "region": ["north"] * 5})
    found = generalise(same, {"age": [10], "region": []}, k=5)
    assert (found.loss, found.suppressed, found.anonymity.k) == (0.0, 0, 5)
    with pytest.raises(ContractError, match="'age'"):
        found.recode(same[["region"]])
