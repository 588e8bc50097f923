"""What a path model refuses, and in which words."""

import numpy as np
import pandas as pd
import pytest

from crmlab.errors import ContractError
from crmlab.models.base import ConvergenceError
from crmlab.models.paths import PathModel
from tests.models.test_paths_properties import ARROWS, BLOCKS, draw

GOOD = draw(1, 60)


@pytest.mark.parametrize(
    ("blocks", "arrows", "words"),
    [
        ({"a": [], "b": ["b1"]}, [("a", "b")], "a: no items"),
        ({"a": ["a1"], "b": ["a1"]}, [("a", "b")], "item 'a1' is there twice"),
        ({"a": ["a1"], "b": ["b1"]}, [("a", "d")], "'d' has an arrow and no block"),
        (BLOCKS, [("a", "b")], "'c' has a block and no arrow"),
        (BLOCKS, [], "there is no arrow"),
        (BLOCKS, [*ARROWS, ("a", "b")], "arrow a -> b twice"),
        (BLOCKS, [("a", "b"), ("b", "c"), ("c", "a")], "form a circle"),
        (BLOCKS, [("a", "a"), ("b", "c")], "form a circle"),
        ({"a": ["a1"], "b": ["zz"]}, [("a", "b")], "'zz'"),
    ],
)
def test_a_model_that_is_none_is_refused(blocks, arrows, words):
    with pytest.raises(ContractError, match=words):
        PathModel(GOOD, blocks, arrows)


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        (GOOD.assign(a1=3.0), "a1: everybody gave the same answer"),
        (GOOD.assign(b2=GOOD["b2"].where(GOOD.index != 4)), r"b2: not a finite number in 1 rows \(first: 5\)"),
        (GOOD.assign(b2=np.inf), "b2: not a finite number"),
        (GOOD.assign(c1="often"), "c1: no"),
        (GOOD.head(0), "no row"),
        (GOOD.head(3), "3 persons, where 4 are the least"),
    ],
)
def test_answers_that_cannot_carry_it_are_refused(answers, words):
    with pytest.raises(ContractError, match=words):
        PathModel(answers, BLOCKS, ARROWS)


def test_all_problems_are_told_at_once():
    with pytest.raises(ContractError) as told:
        PathModel(GOOD.assign(a1=1, b1=2), BLOCKS, ARROWS)
    assert len(told.value.problems) == 2


def test_two_causes_that_say_the_same_are_refused():
    answers = GOOD.assign(b1=GOOD["a1"], b2=GOOD["a2"], b3=GOOD["a3"])
    with pytest.raises(ContractError, match=r"causes of c \(a, b\) cannot be told apart"):
        PathModel(answers, BLOCKS, [("a", "c"), ("b", "c")]).fit()


def test_a_block_without_any_correlation_is_a_checklist():
    rows = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]] * 5, dtype=float)
    answers = pd.DataFrame(rows, columns=["a1", "b1"])
    with pytest.raises(ConvergenceError, match="did not settle") as told:
        PathModel(answers, {"a": ["a1"], "b": ["b1"]}, [("a", "b")]).fit()
    assert len(told.value.checklist) >= 4


def test_options_are_checked():
    with pytest.raises(ContractError, match="scheme must be one of centroid, factorial, path"):
        PathModel(GOOD, BLOCKS, ARROWS, scheme="horst")  # type: ignore[arg-type]
    fit = PathModel(GOOD, BLOCKS, ARROWS).fit()
    with pytest.raises(ContractError, match="at least 20 resamples"):
        fit.bootstrap(seed=1, n=5)
    with pytest.raises(ContractError, match="level"):
        fit.bootstrap(seed=1, level=1.0)
    with pytest.raises(ContractError, match="effect must be one of direct, total"):
        fit.bootstrap(seed=1, effect="indirect")  # type: ignore[arg-type]


def test_a_bootstrap_that_mostly_fails_is_refused():
    """Two people of 60 differ in an item: one resample in seven has neither of them."""
    rare = GOOD.assign(a1=np.where(GOOD.index < 2, 1.0, 0.0) + 0.0)
    with pytest.raises(ConvergenceError, match="could not be fitted"):
        PathModel(rare, BLOCKS, ARROWS).fit().bootstrap(seed=1, n=100)


def test_a_fit_prints_itself():
    text = repr(PathModel(GOOD, BLOCKS, ARROWS).fit())
    assert "3 constructs (mode A), 9 items, 60 persons, scheme centroid" in text
    assert "R2: b " in text


def test_arrows_are_pairs_and_blocks_are_lists():
    answers = pd.DataFrame({"a": [1.0, 2, 3], "b": [1.0, 3, 2]})
    with pytest.raises(ContractError, match=r"pair \(from, to\)"):
        PathModel(answers, {"p": ["a"], "q": ["b"]}, ["pq"])  # type: ignore[list-item]
    with pytest.raises(ContractError, match="list of columns"):
        PathModel(answers, {"p": "a", "q": ["b"]}, [("p", "q")])
