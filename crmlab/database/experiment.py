"""What the data of an experiment must look like; every function that reads one checks it here."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from crmlab.contracts import aligned, broken_rules, check_aligned
from crmlab.errors import ContractError


def cluster_codes(cluster: npt.ArrayLike | None, treated: npt.ArrayLike, t: np.ndarray) -> np.ndarray | None:
    """Number of each customer's group, or None; a group that was drawn as a whole lies in one arm only."""
    if cluster is None:
        return None
    check_aligned("a read-out", treated=treated, cluster=cluster)
    groups, names = pd.factorize(pd.Series(cluster))
    if (groups < 0).any():
        raise ContractError("cluster is missing for some customers: give each customer a group, if only their own")
    counts = {name: len(np.unique(groups[arm])) for name, arm in (("treated", t), ("control", ~t))}
    if min(counts.values()) < 10:
        raise ContractError(f"clustered errors need 10 groups in each arm; got {counts}")
    both = np.intersect1d(groups[t], groups[~t])
    if len(both):
        whole = "a cluster is a group that was drawn as a whole"
        raise ContractError(f"{len(both):,} clusters are in both arms (first: {names[both[0]]}); {whole}")
    return groups


def covariates(before: pd.DataFrame | pd.Series, treated: npt.ArrayLike) -> np.ndarray:
    """Check covariates against the customers of an experiment and return them as numbers, shape (n, k)."""
    if not isinstance(before, pd.DataFrame | pd.Series):
        raise ContractError(f"covariates must be a DataFrame or a Series, not {type(before).__name__}")
    frame = before.to_frame() if isinstance(before, pd.Series) else before
    check_aligned("an experiment", frame, treated=treated)
    columns = {str(name): column for name, column in frame.items()}
    if len(columns) < frame.shape[1] or not columns:
        raise ContractError("the table of covariates has no columns, or two of the same name")
    x = aligned("a table of covariates (encode words, fill or drop what is missing)", **columns).to_numpy()
    with np.errstate(over="ignore", under="ignore"):
        spread = np.where(np.ptp(x, axis=0) == 0, 0.0, x.std(axis=0))
    flat = [name for name, width in zip(columns, spread, strict=True) if not 0 < width < np.inf]
    if flat:
        raise ContractError(f"leave out {', '.join(flat)}: all customers have the same value, or values far too large")
    return x


def read_experiment(outcome: npt.ArrayLike, treated: npt.ArrayLike, *, each: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Outcome (float) and treatment (bool) of an experiment with `each` customers or more in both arms."""
    y, t = aligned("an experiment", outcome=outcome, treated=treated).to_numpy().T
    problems = broken_rules({"treated: not 0 or 1": ~np.isin(t, (0, 1))})
    if not problems:
        sizes = {"treated": int(t.sum()), "control": int((1 - t).sum())}
        problems = [f"the {name} arm has {n} customers; each needs {each}" for name, n in sizes.items() if n < each]
    if not problems and np.ptp(y) == 0 and (each > 1 or y[0] == 0):
        problems = [f"every customer has the same outcome, {y[0]:g}"]
    if problems:
        raise ContractError("this experiment cannot be read out (rows counted from 1)", problems)
    return y, t == 1


def propensities(propensity: npt.ArrayLike | None, treated: npt.ArrayLike, t: np.ndarray) -> np.ndarray:
    """Chance of each customer to be treated, shape (n,): as given, one for all, or the share treated."""
    if propensity is None:
        return np.full(len(t), t.mean())
    each = propensity if np.ndim(propensity) else np.full(len(t), propensity)
    chances = aligned("an experiment", treated=treated, propensity=each)["propensity"].to_numpy()
    problems = broken_rules({"propensity: not strictly between 0 and 1": ~((chances > 0) & (chances < 1))})
    if problems:
        raise ContractError("these chances of being treated cannot be right (rows counted from 1)", problems)
    return chances
