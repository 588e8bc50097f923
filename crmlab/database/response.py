"""Gains of a score of response: whom one reaches by contacting the best first.

A score may be anything by which customers are sorted, best first. Customers with equal scores are treated equally: they
form one step of a curve, and inside a step every number is the expectation under random order, a straight line.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from crmlab.contracts import aligned, broken_rules
from crmlab.errors import ContractError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Gains:
    """How well a score puts those who respond before those who do not.

    Attributes
    ----------
    curve : pandas.DataFrame, shape (different scores, 10)
        One row per score, best first; see `definitions`.
    people : pandas.DataFrame, shape (customers, 3)
        ``score``, ``response`` and ``value`` per customer: the money of a response, 0 without one; where no money was
        given every response counts 1.
    money : bool
        Whether the money of responses was given.
    """

    curve: pd.DataFrame
    people: pd.DataFrame
    money: bool

    @property
    def definitions(self) -> dict[str, str]:
        """What each column of `curve` means; all but the first three include the better scores."""
        return {
            "score": "contact everybody with this score or a better one",
            "customers": "customers with exactly this score",
            "marginal_rate": "their responses / customers",
            "contacted": "customers with this score or a better one",
            "depth": "contacted / all customers",
            "responses": "responses of those contacted",
            "response_rate": "responses / contacted",
            "gain": "responses / all responses",
            "cumulative_lift": "response_rate / response rate of all = gain / depth",
            "value": "money of the responses (their number, where no money was given)",
        }

    @property
    def customers(self) -> int:
        """Number of customers."""
        return len(self.people)

    @property
    def response_rate(self) -> float:
        """Responses over customers."""
        return float(self.people["response"].mean())

    @property
    def value_per_response(self) -> float:
        """Mean money of a response; 1 where no money was given."""
        return float(self.people["value"].sum() / self.people["response"].sum())

    @property
    def auc(self) -> float:
        """Chance that a random customer who responds has a better score than one who does not; a tie counts half.

        It is the area under the ROC curve, which is this curve with the others, instead of all, on the axis.
        """
        won = np.diff(self.curve["responses"], prepend=0)
        lost = self.curve["customers"].to_numpy() - won
        return float(won @ (lost.sum() - np.cumsum(lost) + lost / 2) / (won.sum() * lost.sum()))

    @property
    def gini(self) -> float:
        """2 AUC - 1: area between gains curve and diagonal, over that of a perfect score."""
        return 2 * self.auc - 1

    def at(self, depth: "ArrayLike") -> pd.DataFrame:
        """The curve at other depths; those inside a step of equal scores get the expectation under random order.

        Parameters
        ----------
        depth : array_like of float, shape (k,)
            Shares of the customers, above 0 and at most 1.

        Returns
        -------
        pandas.DataFrame, shape (k, 7)
            ``depth``, ``contacted``, ``responses``, ``response_rate``, ``gain``, ``cumulative_lift``, ``value``.
        """
        share = aligned("a gains curve", depth=depth if np.ndim(depth) else [depth])["depth"].to_numpy()
        if not ((share > 0) & (share <= 1)).all():
            raise ContractError(f"depth must lie above 0 and not above 1, got {depth!r}")
        contacted = share * self.customers
        found = {name: self._cumulative(name, contacted) for name in ("responses", "value")}
        gain = found["responses"] / self.people["response"].sum()
        return pd.DataFrame(
            {
                "depth": share,
                "contacted": contacted,
                "responses": found["responses"],
                "response_rate": found["responses"] / contacted,
                "gain": gain,
                "cumulative_lift": gain / share,
                "value": found["value"],
            }
        )

    def _cumulative(self, name: str, contacted: "Floats") -> "Floats":
        ends = np.append(0.0, self.curve["contacted"])
        return np.interp(contacted, ends, np.append(0.0, self.curve[name]))

    def deciles(self, bins: int = 10) -> pd.DataFrame:
        """The decile table: classes of exactly customers / bins each, best first.

        A class border that falls among equal scores shares their responses out in proportion (the expectation under
        random order), so that customers and responses may be fractions and no order of the file matters.

        Returns
        -------
        pandas.DataFrame, shape (bins, 9)
            ``decile`` (1 is best), ``lowest_score`` in it, its ``customers``, ``responses``, ``response_rate``,
            ``decile_lift`` (its rate / rate of all), then ``gain``, ``cumulative_lift`` and ``value`` of this class and
            the better ones.
        """
        if not 2 <= bins <= self.customers or bins % 1:
            raise ContractError(f"bins must be a whole number from 2 to the {self.customers:,} customers, got {bins}")
        ends = self.at(np.arange(1, bins + 1) / bins)
        responses, size = np.diff(ends["responses"], prepend=0.0), self.customers / bins
        last = np.searchsorted(self.curve["contacted"], ends["contacted"] - 1e-9)
        return pd.DataFrame(
            {
                "decile": np.arange(1, bins + 1),
                "lowest_score": self.curve["score"].to_numpy()[last],
                "customers": size,
                "responses": responses,
                "response_rate": responses / size,
                "decile_lift": responses / size / self.response_rate,
                "gain": ends["gain"],
                "cumulative_lift": ends["cumulative_lift"],
                "value": ends["value"],
            }
        )

    def __repr__(self) -> str:
        head = (
            f"Gains of {self.customers:,} customers with {len(self.curve):,} different scores: response rate "
            f"{self.response_rate:.4g}, AUC {self.auc:.3f}, Gini {self.gini:.3f}"
        )
        return "\n".join([head, *(f"  {name:<16} {meaning}" for name, meaning in self.definitions.items())])


def gains(score: "ArrayLike", response: "ArrayLike", value: "ArrayLike | None" = None) -> Gains:
    """Cumulative gains of a score: whom one reaches by contacting the best first.

    Parameters
    ----------
    score : array_like of float, shape (n,)
        The higher, the earlier contacted: a probability, an expected value, the number of an RFM cell.
    response : array_like of int or bool, shape (n,)
        1 for a response, 0 for none; both must occur. Series must have the same index.
    value : array_like of float, shape (n,), optional
        Money of the response; what it says of customers without one is not counted.

    Raises
    ------
    ContractError
        If columns are misaligned or not finite, a response is neither 0 nor 1, all or none responded, or all scores
        are equal.

    References
    ----------
    Blattberg, R. C., Kim, B.-D. & Neslin, S. A. (2008). *Database Marketing*, ch. 10. Springer.

    Examples
    --------
    >>> found = gains(score=[0.9, 0.5, 0.5, 0.1], response=[1, 1, 0, 0])
    >>> found.curve[["score", "contacted", "responses", "response_rate", "gain"]]
       score  contacted  responses  response_rate  gain
    0    0.9          1          1       1.000000   0.5
    1    0.5          3          2       0.666667   1.0
    2    0.1          4          2       0.500000   1.0
    >>> found.auc, found.at(0.5)["gain"].item()
    (0.875, 0.75)
    """
    values = {} if value is None else {"value": value}
    people = aligned("a gains curve", score=score, response=response, **values)
    problems = broken_rules({"response: neither 0 nor 1": ~people["response"].isin([0, 1])})
    if not problems and people["response"].nunique() < 2:
        problems = ["response: everybody responded" if people["response"].iloc[0] else "response: nobody responded"]
    if people["score"].nunique() < 2:
        problems.append("score: all customers have the same, so there is nothing to sort by")
    if problems:
        raise ContractError("a gains curve cannot be made of these columns (rows counted from 1)", problems)
    people["value"] = people["response"] * people.get("value", 1.0)
    return Gains(_curve(people), people.astype({"response": "int64"}), value is not None)


def _curve(people: pd.DataFrame) -> pd.DataFrame:
    rising, step, customers = np.unique(people["score"], return_inverse=True, return_counts=True)
    responses, value = (np.bincount(step, people[name])[::-1] for name in ("response", "value"))
    customers, responses = customers[::-1], responses.astype("int64")
    contacted, reached = customers.cumsum(), responses.cumsum()
    depth, gain = contacted / contacted[-1], reached / reached[-1]
    return pd.DataFrame(
        {
            "score": rising[::-1],
            "customers": customers,
            "marginal_rate": responses / customers,
            "contacted": contacted,
            "depth": depth,
            "responses": reached,
            "response_rate": reached / contacted,
            "gain": gain,
            "cumulative_lift": gain / depth,
            "value": value.cumsum(),
        }
    )
