"""Recommenders: what each customer may want, by popularity, by own habit, by similar items or by hidden tastes."""

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from crmlab.contracts import one_of, suggest
from crmlab.errors import ContractError
from crmlab.onetoone.customise import Interactions, broken_count

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Method = Literal["popularity", "recent", "own", "cosine", "tfidf", "bm25", "als", "bpr"]
Weight = Literal["log", "once"]

_BLOCK = 2_000
_OPTIONS: dict[str, dict[str, float]] = {
    "cosine": {"K": 500},
    "tfidf": {"K": 500},
    "bm25": {"K": 500, "K1": 1.2, "B": 0.75},
    "als": {"factors": 16, "regularization": 5.0, "alpha": 1.0, "iterations": 15},
    "bpr": {"factors": 16, "regularization": 0.1, "learning_rate": 0.05, "iterations": 50},
}
_WORDS = {
    "popularity": "customers who bought the item",
    "recent": "customers who bought the item, weighted by how lately",
    "own": "the customer's own purchases, weighted by how lately",
    "cosine": "items that the same customers buy (cosine)",
    "tfidf": "items that the same customers buy (TF-IDF)",
    "bm25": "items that the same customers buy (BM25)",
    "als": "matrix factorisation (alternating least squares)",
    "bpr": "matrix factorisation (Bayesian personalised ranking)",
}


@dataclass(frozen=True, eq=False)
class Recommender:
    """A fitted recommender.

    Attributes
    ----------
    past : Interactions
        What it learnt from.
    method : str
        One of the methods of `fit_recommender`.
    weight : {"log", "once"}
        How the days of purchase were weighed.
    options : mapping of str to number
        Options of the method, as used.
    seed : int
        Of the factors' start, and of the order of items that equal one another in everything.
    model : object
        implicit's model; None where there is nothing to fit.
    """

    past: Interactions
    method: Method
    weight: Weight
    options: Mapping[str, float]
    seed: int
    model: Any

    def scores(self, rows: slice | np.ndarray = slice(None)) -> np.ndarray:
        """Score of every item for some customers (positions in ``past.customers``), shape (customers, items)."""
        past = self.past
        if self.method in ("popularity", "recent"):
            everybody = past.popularity if self.method == "popularity" else past.recent_popularity
            return np.tile(everybody, (len(np.arange(len(past.customers))[rows]), 1))
        if self.method == "own":
            return past.recent[rows].toarray()
        if self.method in ("als", "bpr"):
            return (self.model.user_factors[rows] @ self.model.item_factors.T).astype(float)
        return (weighed(past, self.weight)[rows] @ self.model.similarity).toarray()

    def __repr__(self) -> str:
        told = ", ".join(f"{name}={value:g}" for name, value in self.options.items())
        return f"Recommender by {_WORDS[self.method]}{f' ({told})' if told else ''}\n{self.past}"


def fit_recommender(
    past: Interactions, method: Method = "bm25", *, seed: int, weight: Weight = "log", **options: float
) -> Recommender:
    r"""Learn what each customer may want from what all bought.

    With :math:`w_{ci}` the weight of item i for customer c, an item-item method scores item j by
    :math:`\sum_i w_{ci} s_{ij}`, where :math:`s_{ij}` is the similarity of the customers of i and j, kept for the `K`
    most similar of each. ``als`` finds vectors x of customers and y of items that minimise

    .. math:: \sum_{c,i} (1 + (\alpha w_{ci} - 1)\,p_{ci})\,(p_{ci} - x_c^\top y_i)^2
              + \lambda \Big(\sum_c |x_c|^2 + \sum_i |y_i|^2\Big)

    over all pairs, where p is 1 for what was bought and else 0; ``bpr`` ranks what was bought above what was not.

    Parameters
    ----------
    past : Interactions
        From `interactions`.
    method : {"popularity", "recent", "own", "cosine", "tfidf", "bm25", "als", "bpr"}, default "bm25"
        ``popularity`` counts customers; ``recent`` counts each by the decayed purchases, at most 1; ``own`` is "buy
        again": the customer's own decayed purchases.
    seed : int
        Of the start of a factorisation, and of the order of items that equal one another in score and popularity.
    weight : {"log", "once"}, default "log"
        Weight of a pair in all methods that are fitted: log(1 + days of purchase), or 1.
    **options
        ``K`` (neighbours of an item; cosine, tfidf, bm25), ``K1`` and ``B`` (bm25), ``factors``, ``regularization``,
        ``iterations`` (als, bpr), ``alpha`` (als), ``learning_rate`` (bpr), by implicit's names.

    Returns
    -------
    Recommender

    Raises
    ------
    ContractError
        If a method or option is not possible.

    Notes
    -----
    Defaults suit some thousand customers; choose options on a period before the one in which they are valued. A penalty
    too large for few customers leaves little but popularity. implicit runs on one thread, so that a seed gives the same
    numbers each time. After the last step of ``als`` all customers' vectors are solved once more from the final items,
    so that `explain` adds up to the score.

    References
    ----------
    Hu, Y., Koren, Y. & Volinsky, C. (2008). Collaborative filtering for implicit feedback datasets. *ICDM*, 263-272.
    Rendle, S., Freudenthaler, C., Gantner, Z. & Schmidt-Thieme, L. (2009). BPR: Bayesian personalized ranking from
    implicit feedback. *UAI*, 452-461.
    Sarwar, B., Karypis, G., Konstan, J. & Riedl, J. (2001). Item-based collaborative filtering recommendation
    algorithms. *WWW*, 285-295.

    Examples
    --------
    >>> from crmlab.onetoone.customise import interactions
    >>> log = pd.DataFrame({"customer_id": [1, 1, 2, 2, 3, 4, 4], "product_id": list("ababacd")})
    >>> past = interactions(log.assign(date=pd.Timestamp("2024-03-01")), min_customers=1)
    >>> recommend(fit_recommender(past, "cosine", seed=1), 1).table.query("customer_id == 3")["item"].item()
    'b'
    """
    one_of("method", method, Method)
    one_of("weight", weight, Weight)
    chosen = _checked(method, options)
    return Recommender(
        past, method, weight, MappingProxyType(chosen), seed, _fitted(past, method, weight, seed, chosen)
    )


def _checked(method: str, options: Mapping[str, Any]) -> dict[str, float]:
    known = _OPTIONS.get(method, {})
    problems = []
    for name, value in options.items():
        if name not in known:
            problems.append(
                f"{method} has no option {name!r}{suggest(name, known)}; it has {', '.join(known) or 'none'}"
            )
        elif name in ("K", "factors", "iterations"):
            problems += broken_count(name, value)
        elif not (isinstance(value, int | float) and 0 <= value < np.inf):
            problems.append(f"{name} must be a finite number of 0 or more; got {value!r}")
    if problems:
        raise ContractError("the recommender cannot be fitted like this", problems)
    return {**known, **options}


def _fitted(past: Interactions, method: str, weight: Weight, seed: int, options: Mapping[str, Any]) -> Any:
    if method not in _OPTIONS:
        return None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "IProgress not found")  # no progress bar is shown
        from implicit.als import AlternatingLeastSquares
    from implicit.bpr import BayesianPersonalizedRanking
    from implicit.nearest_neighbours import BM25Recommender, CosineRecommender, TFIDFRecommender
    from implicit.utils import ParameterWarning
    from threadpoolctl import threadpool_limits

    kinds = {
        "cosine": CosineRecommender,
        "tfidf": TFIDFRecommender,
        "bm25": BM25Recommender,
        "als": AlternatingLeastSquares,
        "bpr": BayesianPersonalizedRanking,
    }
    random = {"random_state": seed} if method in ("als", "bpr") else {}
    matrix = weighed(past, weight)
    with threadpool_limits(1, "blas"), warnings.catch_warnings(), np.errstate(invalid="ignore"):
        warnings.simplefilter("ignore", ParameterWarning)  # the library converts its own matrices
        model = kinds[method](**options, **random, num_threads=1)
        model.fit(matrix, show_progress=False)
        if method == "als":
            model.user_factors = model.recalculate_user(np.arange(len(past.customers)), matrix)
    if not random and not np.isfinite(model.similarity.data).all():
        raise ContractError(f"{method} gives no weight to customers who bought nearly every item: use cosine")
    return model


def weighed(past: Interactions, weight: Weight) -> "csr_array":
    """Weights of pairs as implicit takes them."""
    from scipy.sparse import csr_matrix

    matrix = csr_matrix(past.days)
    matrix.data = np.log1p(matrix.data) if weight == "log" else np.ones_like(matrix.data)
    return matrix


@dataclass(frozen=True, eq=False)
class Recommendations:
    """A list for each customer.

    Attributes
    ----------
    places : numpy.ndarray of int, shape (customers, n)
        Position in ``past.items`` of what stands at each place; -1 where nothing is left to recommend.
    past : Interactions
        What was learnt from.
    method : str
        How items were scored.
    new_only : bool
        Whether items that the customer has bought before were left out.
    """

    places: np.ndarray
    past: Interactions
    method: Method
    new_only: bool

    @property
    def table(self) -> pd.DataFrame:
        """One row per customer and place: ``customer_id``, ``place`` (from 1) and ``item``."""
        row, place = np.nonzero(self.places >= 0)
        return pd.DataFrame(
            {
                "customer_id": self.past.customers[row],
                "place": place + 1,
                "item": self.past.items[self.places[row, place]],
            }
        )

    def __repr__(self) -> str:
        kind = "new to the customer" if self.new_only else "bought before or not"
        return (
            f"{self.places.shape[1]} items for each of {len(self.places):,} customers, {kind}, by "
            f"{_WORDS[self.method]}\n{self.table.head()}"
        )


def recommend(model: Recommender, n: int = 10, *, new_only: bool = True) -> Recommendations:
    """List the items with the highest scores for each customer.

    Items of equal score are put in the order of their popularity, and items that equal one another in both in an order
    drawn with the model's seed. So ``own`` goes on with popular items where the customer's own are all on the list.

    Parameters
    ----------
    model : Recommender
        From `fit_recommender`.
    n : int, default 10
        Places on each list.
    new_only : bool, default True
        Leave out what the customer has bought before: the task of showing something new. False asks for the next
        purchases of any kind.

    Returns
    -------
    Recommendations

    Raises
    ------
    ContractError
        If `n` is no whole number of 1 or more, or larger than the number of items.
    """
    problems = broken_count("n", n)
    if not problems and n > len(model.past.items):
        problems = [f"n={n} places for {len(model.past.items)} items"]
    if problems:
        raise ContractError("no list can be made like this", problems)
    parts = [order[:, :n] for _, order in ranked(model, new_only)]
    return Recommendations(np.concatenate(parts), model.past, model.method, new_only)


def ranked(model: Recommender, new_only: bool) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """In blocks of customers: their positions, and all items from the best to the worst, -1 for those left out."""
    past = model.past
    random = np.random.default_rng(model.seed).random(len(past.items))
    ties = np.lexsort((random, -past.popularity))
    for start in range(0, len(past.customers), _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, len(past.customers)))
        scores = model.scores(rows)[:, ties]
        gone = past.days[rows].toarray()[:, ties] > 0 if new_only else np.zeros(scores.shape, dtype=bool)
        order = np.argsort(np.where(gone, np.inf, -scores), axis=1, kind="stable")
        left_out = np.arange(scores.shape[1]) >= (~gone).sum(axis=1, keepdims=True)
        yield rows, np.where(left_out, -1, ties[order])


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why an item was recommended: the customer's own purchases, each with its part of the score.

    Attributes
    ----------
    contributions : pandas.Series
        Part of the score by item bought, largest first; over all items bought they add up to the score.
    score : float
        What the recommender gave.
    item : object
        The item explained.
    method : str
        How it was scored.
    """

    contributions: pd.Series
    score: float
    item: Any
    method: Method

    def __repr__(self) -> str:
        return f"{self.item}: score {self.score:.4g} by {_WORDS[self.method]}\n{self.contributions.head().to_string()}"


def explain(model: Recommender, customer: Any, item: Any) -> Explanation:
    r"""Take a score apart into what each of the customer's purchases contributes.

    For an item-item method the parts are :math:`w_{ci} s_{ij}`; for ``als`` they are
    :math:`\alpha w_{ci}\, y_j^\top W_c\, y_i` with
    :math:`W_c = (Y^\top Y + Y^\top (C_c - I) Y + \lambda I)^{-1}` (Hu et al. 2008, sec. 5), which may be negative.

    Parameters
    ----------
    model : Recommender
        By an item-item method or ``als``.
    customer, item : object
        A name in ``past.customers`` and in ``past.items``.

    Returns
    -------
    Explanation

    Raises
    ------
    ContractError
        If the method has no such parts, or customer or item are unknown.
    """
    past = model.past
    if model.method not in ("cosine", "tfidf", "bm25", "als"):
        raise ContractError(
            f"a score by {model.method} is no sum over purchases; explain cosine, tfidf, bm25 or als, or say how "
            f"it works: {_WORDS[model.method]}"
        )
    row, column = (
        names.get_indexer(pd.Index([one]))[0] for names, one in ((past.customers, customer), (past.items, item))
    )
    if row < 0 or column < 0:
        which = "customer" if row < 0 else "item"
        raise ContractError(f"the recommender does not know {which} {customer if row < 0 else item!r}")
    basket = weighed(past, model.weight)[[row]]
    if model.method == "als":
        _, found, _ = model.model.explain(0, basket, column, N=basket.nnz)
        parts = pd.Series({past.items[place]: float(value) for place, value in found}, dtype=float)
    else:
        similar = model.model.similarity[:, [column]].toarray().ravel()
        parts = pd.Series(basket.data * similar[basket.indices], past.items[basket.indices])
    parts = parts.sort_values(ascending=False, kind="stable").rename_axis(past.column).rename("contribution")
    return Explanation(parts, float(model.scores(np.array([row]))[0, column]), item, model.method)
