"""Uplift: whom a contact changes, learned from a randomised campaign.

What the scores are worth is said by `crmlab.database.policy`.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from crmlab.contracts import check_aligned, one_of, require_columns
from crmlab.database.experiment import propensities, read_experiment
from crmlab.errors import ContractError

Method = Literal["two_model", "transformed_outcome"]


@dataclass(frozen=True, eq=False)
class UpliftModel:
    """A fitted uplift model; `predict` scores any customers with the same features.

    Attributes
    ----------
    method : {"two_model", "transformed_outcome"}
        How it was made.
    estimators : tuple
        Fitted scikit-learn estimators: of the treated and of the control arm, or the one of the transformed outcome.
    features : tuple of str
        Columns that it needs.
    """

    method: Method
    estimators: tuple[Any, ...]
    features: tuple[str, ...]

    def predict(self, features: pd.DataFrame) -> pd.Series:
        """Predicted effect of a contact per customer, in the unit of the outcome, with the index of `features`."""
        x = _features(features, self.features)
        expected = [_expected(one, x) for one in self.estimators]
        scores = expected[0] - expected[1] if self.method == "two_model" else expected[0]
        return pd.Series(scores, index=features.index, name="uplift")


def fit_uplift(
    features: pd.DataFrame,
    outcome: npt.ArrayLike,
    treated: npt.ArrayLike,
    estimator: Any,
    *,
    method: Method = "two_model",
    propensity: npt.ArrayLike | None = None,
) -> UpliftModel:
    """Learn from a randomised campaign how much a contact changes the outcome of each kind of customer.

    Two models: one estimator learns the outcome of the treated, a clone that of the control group; the uplift is the
    difference of their predictions. Transformed outcome: one regressor learns :math:`Y(T-e)/(e(1-e))`, with
    propensity :math:`e`, whose mean among equal customers is their uplift.

    Parameters
    ----------
    features : pandas.DataFrame, shape (n, k)
        What was known before the campaign.
    outcome, treated : array_like, shape (n,)
        As for `read_out`.
    estimator : scikit-learn estimator
        It is cloned, never changed. A classifier (outcomes 0 and 1) goes with two models only.
    method : {"two_model", "transformed_outcome"}, default "two_model"
        See above.
    propensity : float or array_like, shape (n,), optional
        Known chance of each customer to be treated, strictly between 0 and 1; used by the transformed outcome.
        Default: the share treated.

    Raises
    ------
    ContractError
        If inputs do not fit, an arm lacks a class that the classifier needs, or a feature is infinite. What is missing
        or in words is left to the estimator: some can use it, others refuse it.

    References
    ----------
    Athey, S. & Imbens, G. (2016). Recursive partitioning for heterogeneous causal effects. *PNAS* 113, 7353-7360.
    Künzel, S. R. et al. (2019). Metalearners for estimating heterogeneous treatment effects. *PNAS* 116, 4156-4165.

    Examples
    --------
    >>> from sklearn.linear_model import LinearRegression
    >>> who = pd.DataFrame({"age": [20, 30, 20, 30]})
    >>> fit_uplift(who, [3.0, 6.0, 1.0, 2.0], [1, 1, 0, 0], LinearRegression()).predict(who).round(6).tolist()
    [2.0, 4.0, 2.0, 4.0]
    """
    from sklearn.base import clone, is_classifier

    one_of("method", method, Method)
    check_aligned("the uplift model", features, outcome=outcome, treated=treated)
    y, t = read_experiment(outcome, treated)
    e = propensities(propensity, treated, t)
    x = _features(features, tuple(features.columns))
    if method == "transformed_outcome":
        if is_classifier(estimator):
            raise ContractError("the transformed outcome is no class: give a regressor, or use method='two_model'")
        return UpliftModel(method, (clone(estimator).fit(x, y * (t - e) / (e * (1 - e))),), tuple(features.columns))
    if is_classifier(estimator):
        lacking = [name for name, arm in (("treated", t), ("control", ~t)) if len(np.unique(y[arm])) < 2]
        if lacking or not np.isin(y, (0, 1)).all():
            raise ContractError(
                "a classifier needs outcomes of 0 and 1, both in each arm"
                + (f"; the {' and the '.join(lacking)} arm has one class" if lacking else "; use a regressor")
            )
    return UpliftModel(method, tuple(clone(estimator).fit(x[arm], y[arm]) for arm in (t, ~t)), tuple(features.columns))


def cross_fit_uplift(
    features: pd.DataFrame,
    outcome: npt.ArrayLike,
    treated: npt.ArrayLike,
    estimator: Any,
    *,
    method: Method = "two_model",
    propensity: npt.ArrayLike | None = None,
    folds: int = 5,
    seed: int,
) -> pd.Series:
    """Uplift scores of all customers, each from a model that never saw them.

    Customers are split into `folds` parts at random, equal in the share treated; each part is scored by `fit_uplift`
    on the others. The scores may therefore be judged on the same customers' outcomes.

    Parameters
    ----------
    features, outcome, treated, estimator, method, propensity
        As for `fit_uplift`.
    folds : int, default 5
        Number of parts, 2 or more.
    seed : int
        Seed of the split.

    Returns
    -------
    pandas.Series, shape (n,)
        With the index of `features`.

    Examples
    --------
    >>> from sklearn.linear_model import LinearRegression
    >>> who = pd.DataFrame({"age": np.tile([20, 30, 40, 50], 4)})
    >>> t = np.repeat([0, 1], 8)
    >>> cross_fit_uplift(who, who["age"] * (1 + t), t, LinearRegression(), folds=2, seed=1).head(2).round(6).tolist()
    [20.0, 30.0]
    """
    from sklearn.model_selection import StratifiedKFold

    check_aligned("the uplift model", features, outcome=outcome, treated=treated)
    y, t = read_experiment(outcome, treated)
    e = propensities(propensity, treated, t)
    most = int(min(t.sum(), (~t).sum())) // 2
    if not 2 <= folds <= most:
        raise ContractError(f"every fold needs two customers of each arm: folds can be 2 to {most} here; got {folds}")
    strata = (
        t + 2.0 * y if np.isin(y, (0, 1)).all() and np.unique(t + 2 * y, return_counts=True)[1].min() >= folds else t
    )
    scores = np.empty(len(y))
    for rest, part in StratifiedKFold(folds, shuffle=True, random_state=seed).split(strata, strata):
        model = fit_uplift(features.iloc[rest], y[rest], t[rest], estimator, method=method, propensity=e[rest])
        scores[part] = model.predict(features.iloc[part])
    return pd.Series(scores, index=features.index, name="uplift")


def _features(features: pd.DataFrame, names: tuple[str, ...]) -> pd.DataFrame:
    if not isinstance(features, pd.DataFrame) or not len(features) or not len(names):
        raise ContractError("features must be a DataFrame with at least one row and one column")
    require_columns(features, names, "the uplift model")
    x = features[list(names)]
    numbers = x.select_dtypes("number")
    infinite = [str(name) for name in numbers if np.isinf(numbers[name].astype(float)).any()]
    if infinite:
        raise ContractError(f"features must not be infinite: {', '.join(infinite)}")
    return x


def _expected(estimator: Any, x: pd.DataFrame) -> np.ndarray:
    from sklearn.base import is_classifier

    return np.asarray(
        estimator.predict_proba(x)[:, 1] if is_classifier(estimator) else estimator.predict(x), dtype=float
    )
