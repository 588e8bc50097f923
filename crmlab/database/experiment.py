"""What the data of an experiment must look like; every function that reads one checks it here."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from crmlab.contracts import broken_rules
from crmlab.errors import ContractError


def cluster_codes(cluster: npt.ArrayLike | None, treated: npt.ArrayLike, t: np.ndarray) -> np.ndarray | None:
    """Number of each customer's group, or None; a group that was drawn as a whole lies in one arm only."""
    if cluster is None:
        return None
    check_aligned({"treated": treated, "cluster": cluster})
    groups = np.asarray(cluster)
    if pd.isna(groups).any():
        raise ContractError("cluster is missing for some customers: give each customer a group, if only their own")
    counts = {name: len(np.unique(groups[arm])) for name, arm in (("treated", t), ("control", ~t))}
    if min(counts.values()) < 10:
        raise ContractError(f"clustered errors need 10 groups in each arm; got {counts}")
    both = np.intersect1d(groups[t], groups[~t])
    if len(both):
        whole = "a cluster is a group that was drawn as a whole"
        raise ContractError(f"{len(both):,} clusters are in both arms (first: {both[0]}); {whole}")
    return np.unique(groups, return_inverse=True)[1]


def covariates(before: pd.DataFrame | pd.Series, treated: npt.ArrayLike) -> np.ndarray:
    """Check covariates against the customers of an experiment and return them as numbers, shape (n, k)."""
    if not isinstance(before, pd.DataFrame | pd.Series):
        raise ContractError(f"covariates must be a DataFrame or a Series, not {type(before).__name__}")
    frame = before.to_frame() if isinstance(before, pd.Series) else before
    check_aligned({"treated": treated, "before": frame})
    if not frame.shape[1]:
        raise ContractError("the table of covariates has no columns")
    numbers = frame.apply(pd.to_numeric, errors="coerce").astype(float)
    problems = broken_rules({f"{name}: not a finite number": ~np.isfinite(numbers[name]) for name in numbers.columns})
    problems += [f"{name}: all customers have the same value" for name in numbers if numbers[name].nunique() == 1]
    if problems:
        raise ContractError("these covariates cannot be used: encode words, fill or drop what is missing", problems)
    return numbers.to_numpy()


def read_experiment(outcome: npt.ArrayLike, treated: npt.ArrayLike, *, each: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Outcome (float) and treatment (bool) of an experiment with `each` customers or more in both arms."""
    check_aligned({"outcome": outcome, "treated": treated})
    y, t = (pd.to_numeric(pd.Series(np.asarray(a)), errors="coerce").to_numpy(float) for a in (outcome, treated))
    problems = broken_rules(
        {"outcome: not a finite number": ~np.isfinite(y), "treated: not 0 or 1": ~np.isin(t, (0, 1))}
    )
    if not problems:
        sizes = {"treated": int(t.sum()), "control": int((1 - t).sum())}
        problems = [f"the {name} arm has {n} customers; each needs {each}" for name, n in sizes.items() if n < each]
    if not problems and np.ptp(y) == 0 and (each > 1 or y[0] == 0):
        problems = [f"every customer has the same outcome, {y[0]:g}"]
    if problems:
        raise ContractError("this experiment cannot be read out (rows counted from 1)", problems)
    return y, t == 1


def check_aligned(named: dict[str, Any]) -> None:
    """Refuse arguments of different length, of more than one column where one is due, or with different indexes."""
    lengths = {name: len(value) for name, value in named.items()}
    wide = [name for name, value in named.items() if not isinstance(value, pd.DataFrame) and np.ndim(value) != 1]
    if wide:
        raise ContractError(f"{wide[0]} must be one value per customer, got shape {np.shape(named[wide[0]])}")
    if len(set(lengths.values())) > 1:
        raise ContractError(f"one value per customer is needed in each argument; got {lengths}")
    if not min(lengths.values()):
        raise ContractError(f"{' and '.join(named)} are empty")
    indexed = [(n, v) for n, v in named.items() if isinstance(v, pd.DataFrame | pd.Series)]
    for name, value in indexed[1:]:
        if not value.index.equals(indexed[0][1].index):
            raise ContractError(
                f"{name} and {indexed[0][0]} have different indexes: they would not be about the same customers; "
                f"reindex one like the other"
            )


def check_level(level: float) -> None:
    """Refuse a confidence level that is none."""
    if not 0 < level < 1:
        raise ContractError(f"level must lie strictly between 0 and 1, got {level}")


def check_money(margin: float, contact_cost: float) -> None:
    """Refuse a margin that is not above 0 and a cost below 0."""
    if not (np.isfinite(margin) and margin > 0 and np.isfinite(contact_cost) and contact_cost >= 0):
        raise ContractError(
            f"margin must be above 0 and contact_cost 0 or more; got margin={margin}, contact_cost={contact_cost}"
        )


def propensities(propensity: npt.ArrayLike | None, treated: npt.ArrayLike, t: np.ndarray) -> np.ndarray:
    """Chance of each customer to be treated, shape (n,): as given, one for all, or the share treated."""
    if propensity is None:
        return np.full(len(t), t.mean())
    if np.ndim(propensity):
        check_aligned({"treated": treated, "propensity": propensity})
    chances = np.broadcast_to(np.asarray(propensity, dtype=float), len(t))
    problems = broken_rules({"propensity: not strictly between 0 and 1": ~((chances > 0) & (chances < 1))})
    if problems:
        raise ContractError("these chances of being treated cannot be right (rows counted from 1)", problems)
    return chances
