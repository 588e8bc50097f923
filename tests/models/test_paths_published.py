"""The ECSI model on the mobile survey, against what semPLS printed; tolerances are those of the published table."""

import numpy as np
import pandas as pd
import pytest

from crmlab.datasets import load
from crmlab.lab.reproduction import published as published_numbers
from crmlab.models.paths import PathModel, PathModelResults

_ROWS = published_numbers()
_MINE = _ROWS[_ROWS.index.str.match(r"LOY-0(0[1-9]|1\d|20)") & (_ROWS["status"] == "printed")]

BLOCKS = {
    "Image": [f"IMAG{i}" for i in range(1, 6)],
    "Expectation": [f"CUEX{i}" for i in range(1, 4)],
    "Quality": [f"PERQ{i}" for i in range(1, 8)],
    "Value": ["PERV1", "PERV2"],
    "Satisfaction": ["CUSA1", "CUSA2", "CUSA3"],
    "Complaints": ["CUSCO"],
    "Loyalty": ["CUSL1", "CUSL2", "CUSL3"],
}
ARROWS = [
    ("Image", "Expectation"),
    ("Image", "Satisfaction"),
    ("Image", "Loyalty"),
    ("Expectation", "Quality"),
    ("Expectation", "Value"),
    ("Expectation", "Satisfaction"),
    ("Quality", "Value"),
    ("Quality", "Satisfaction"),
    ("Value", "Satisfaction"),
    ("Satisfaction", "Complaints"),
    ("Satisfaction", "Loyalty"),
    ("Complaints", "Loyalty"),
]


@pytest.fixture(scope="module")
def ecsi() -> PathModelResults:
    return PathModel(load("mobile_survey")["answers"], BLOCKS, ARROWS).fit()


@pytest.mark.parametrize("id", _MINE.index)
def test_comes_out_as_printed(id, ecsi):
    row = _MINE.loc[id]
    found = {f"path_{cause}_{effect}".lower(): value for (cause, effect), value in ecsi.paths.items()}
    found |= {f"loading_{item}".lower(): value for item, value in ecsi.loadings.items()}
    found |= {
        f"total_effect_{cause}_{effect}".lower(): value for (cause, effect), value in ecsi.total_effects.stack().items()
    }
    assert found[row["record"]] == pytest.approx(row["value"], abs=row["tolerance"])


def test_all_printed_numbers_are_there():
    assert len(_MINE) == 8 + 5 + 7 + 2 + 3 + 3 + 4


@pytest.mark.parametrize("scheme", ["path", "factorial"])
def test_agrees_with_seminr(scheme):
    """An independent implementation: paths, weights, loadings, R2, reliability and HTMT, under the scheme's own rule.

    It stops when weights move by less than 1e-7 in all, hence the tolerance of 1e-6.
    """
    seminr = pytest.importorskip("seminr")
    answers = load("mobile_survey")["answers"]
    mine = PathModel(answers, BLOCKS, ARROWS, scheme=scheme).fit()
    measures = seminr.constructs(*(seminr.composite(name, items) for name, items in BLOCKS.items()))
    structure = seminr.relationships(*(seminr.paths(cause, [effect]) for cause, effect in ARROWS))
    weighting = {"path": seminr.path_weighting, "factorial": seminr.path_factorial}[scheme]
    peer = seminr.estimate_pls(answers, measures, structure, inner_weights=weighting)
    summary = seminr.summarize(peer)

    def table(matrix) -> pd.DataFrame:
        return pd.DataFrame(matrix.values, index=list(matrix.rows), columns=list(matrix.cols))

    def same(theirs, ours: pd.Series) -> None:
        np.testing.assert_allclose(np.asarray(theirs, dtype=float), ours.to_numpy(), atol=1e-6)

    same([table(peer.path_coef).loc[cause, effect] for cause, effect in ARROWS], mine.paths)
    same(table(peer.outer_weights).sum(axis=1)[mine.model.items], mine.weights)
    same(table(peer.outer_loadings).sum(axis=1)[mine.model.items], mine.loadings)
    same(table(peer.r_squared).loc["Rsq"][list(mine.r_squared.index)], mine.r_squared)
    theirs = table(summary.reliability).loc[mine.constructs, ["alpha", "rhoC", "AVE"]].drop("Complaints")
    ours = mine.reliability()[["alpha", "rho_c", "ave"]].drop("Complaints")
    np.testing.assert_allclose(theirs.to_numpy(), ours.to_numpy(), atol=1e-6)
    lower = table(summary.validity.htmt).loc[mine.constructs, mine.constructs].to_numpy()
    there = np.isfinite(lower)
    assert there.sum() == 21
    np.testing.assert_allclose(lower[there], mine.htmt().to_numpy()[there], atol=1e-9)
