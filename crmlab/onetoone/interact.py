"""A learning relationship: what each customer seems to like, surer with every contact, and what a question is worth.

Rates of customers are drawn towards the rate of all, the more the less is known of them (empirical Bayes): see
`crmlab.models.BetaBinomial`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import betaincinv

from crmlab.contracts import broken_rules, require_columns
from crmlab.errors import ContractError
from crmlab.models import BetaBinomial
from crmlab.onetoone.interact_plan import check_same_ids
from crmlab.stats import check_level

if TYPE_CHECKING:
    from collections.abc import Hashable


@dataclass(frozen=True, eq=False)
class Preferences:
    """What is known of each customer's response to each action.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per customer and action, also those never tried: ``customer_id``, ``action``, ``contacts``,
        ``responses``, ``raw`` (rate observed; missing without a contact), ``estimate`` (posterior mean), ``low`` and
        ``high`` (quantiles of the posterior).
    priors : pandas.DataFrame
        One row per action: ``alpha``, ``beta`` of the rates of all customers, ``mean``, and ``worth``, the contacts
        whose evidence weighs as much as the prior (alpha + beta).
    level : float
        Posterior probability of the intervals.
    """

    table: pd.DataFrame
    priors: pd.DataFrame
    level: float

    def update(self, contacts: pd.DataFrame) -> "Preferences":
        """Go on from here with later contacts; the priors stay, new customers begin with them.

        Parameters
        ----------
        contacts : pandas.DataFrame
            As for `learn_preferences`; only contacts that were not counted before.

        Raises
        ------
        ContractError
            If the table is wrong, its customers are text and were numbers or the reverse, or an action has no prior.
        """
        counts = _counts(contacts)
        check_same_ids(counts["customer_id"], self.table, "what is known")
        unknown = [one for one in counts["action"].unique() if one not in self.priors.index]
        if unknown:
            known = ", ".join(map(repr, self.priors.index))
            raise ContractError(f"no prior is known for the action {unknown[0]!r}, only for {known}; learn anew")
        before = self.table[["customer_id", "action", "contacts", "responses"]]
        both = pd.concat([before, counts]).groupby(["customer_id", "action"], as_index=False).sum()
        return replace(self, table=_posterior(both, self.priors, self.level))

    def favourites(self, *, seed: int, draws: int = 1_000) -> pd.DataFrame:
        """For every customer the action that is most likely the best, and how likely it is that.

        Parameters
        ----------
        seed : int
            Seed of the draws from the posteriors.
        draws : int, default 1000
            Number of draws.

        Returns
        -------
        pandas.DataFrame
            ``customer_id``, ``action``, ``chance_best`` (posterior probability that no other action has a higher rate).
        """
        if not (draws >= 1 and draws % 1 == 0):
            raise ContractError(f"draws must be a whole number of 1 or more, got {draws}")
        wide = self.table.set_index(["customer_id", "action"])[["contacts", "responses"]].unstack("action")
        actions = wide["contacts"].columns
        won = wide["responses"][actions].to_numpy() + self.priors.loc[actions, "alpha"].to_numpy()
        tried = wide["contacts"][actions].to_numpy() + self.priors.loc[actions, "worth"].to_numpy()
        rng, first = np.random.default_rng(seed), np.zeros(won.shape)
        for _ in range(draws):
            first[np.arange(len(won)), rng.beta(won, tried - won).argmax(axis=1)] += 1
        best = first.argmax(axis=1)
        found = {"customer_id": wide.index, "action": actions[best], "chance_best": first.max(axis=1) / draws}
        return pd.DataFrame(found)

    def __repr__(self) -> str:
        people, contacts = self.table["customer_id"].nunique(), int(self.table["contacts"].sum())
        return (
            f"Preferences of {people:,} customers among {len(self.priors)} actions, from {contacts:,} contacts\n"
            f"{self.priors.round(3).to_string()}"
        )


def learn_preferences(contacts: pd.DataFrame, *, level: float = 0.95) -> Preferences:
    """Each customer's rate of response to each action, with a prior found from all customers.

    The rate of customer i for action a is ~ Beta(alpha_a, beta_a); after r responses to m contacts it is
    ~ Beta(alpha_a + r, beta_a + m - r). The priors maximise the beta-binomial likelihood of all customers.

    Parameters
    ----------
    contacts : pandas.DataFrame
        One row per contact: ``customer_id``, ``action`` (what was sent, offered or asked), ``response`` (1 or True if
        the customer responded, else 0 or False).
    level : float, default 0.95
        Posterior probability of the intervals.

    Returns
    -------
    Preferences

    Raises
    ------
    ContractError
        If a column is missing, a customer or action is, or a response is not 0 or 1.
    crmlab.models.ConvergenceError
        If the customers do not differ more than chance makes them, or an action had no response at all.

    Notes
    -----
    An interval covers the rate of a customer drawn from the same population with its stated probability if rates are
    constant in time and spread like a beta distribution. Customers who left for good, whose rate is 0, break this:
    their interval comes down towards 0 and never reaches it.

    References
    ----------
    Efron, B. & Morris, C. (1975). Data analysis using Stein's estimator and its generalizations. *Journal of the
    American Statistical Association* 70, 311-319.

    Examples
    --------
    >>> log = pd.DataFrame({"customer_id": [1] * 8 + [2] * 8 + [3] * 8, "action": "recipe"})
    >>> learnt = learn_preferences(log.assign(response=[1] * 7 + [0] + [0] * 8 + [1] * 3 + [0] * 5))
    >>> learnt.table[["customer_id", "raw", "estimate"]].round(2)
       customer_id   raw  estimate
    0            1  0.88      0.81
    1            2  0.00      0.05
    2            3  0.38      0.38
    """
    check_level(level)
    counts = _counts(contacts)
    fits = {
        action: BetaBinomial(rows["responses"].to_numpy(), rows["contacts"].to_numpy()).fit().params
        for action, rows in counts.groupby("action")
    }
    priors = pd.DataFrame(fits).T.rename_axis("action").set_axis(["alpha", "beta"], axis=1)
    priors = priors.assign(mean=priors["alpha"] / priors.sum(axis=1), worth=priors.sum(axis=1))
    return Preferences(_posterior(counts, priors, level), priors, level)


def _counts(contacts: pd.DataFrame) -> pd.DataFrame:
    what = "learning preferences"
    require_columns(contacts, ["customer_id", "action", "response"], what)
    if contacts.empty:
        raise ContractError(f"{what} needs contacts; the table has no row")
    response = pd.to_numeric(contacts["response"], errors="coerce")
    rules = {f"{name}: missing": contacts[name].isna() for name in ("customer_id", "action")}
    problems = broken_rules(rules | {"response: neither 0 nor 1": ~response.isin([0, 1])})
    if problems:
        raise ContractError("these are no contacts with responses (rows counted from 1)", problems)
    plain = contacts[["customer_id", "action"]].assign(response=response.astype("int64"))
    plain["action"] = plain["action"].astype(object)
    grouped = plain.groupby(["customer_id", "action"])["response"]
    return grouped.agg(contacts="size", responses="sum").reset_index()


def _posterior(counts: pd.DataFrame, priors: pd.DataFrame, level: float) -> pd.DataFrame:
    people = pd.Index(counts["customer_id"].unique())
    grid = pd.MultiIndex.from_product([people, priors.index], names=["customer_id", "action"])
    table = counts.set_index(["customer_id", "action"]).reindex(grid, fill_value=0)
    prior = priors.loc[grid.get_level_values("action")]
    a = prior["alpha"].to_numpy() + table["responses"].to_numpy()
    b = prior["beta"].to_numpy() + (table["contacts"] - table["responses"]).to_numpy()
    tail = (1 - level) / 2
    return table.assign(
        raw=table["responses"] / table["contacts"].where(table["contacts"] > 0),
        estimate=a / (a + b),
        low=betaincinv(a, b, tail),
        high=betaincinv(a, b, 1 - tail),
    ).reset_index()


@dataclass(frozen=True, eq=False)
class QuestionValue:
    """What a question is worth before it is asked.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per answer: its ``chance``, the best ``offer`` after it, and the ``value`` of that offer then.
    offer : hashable
        The best offer when nothing is asked.
    value : float
        Its expected value, in the unit of the payoffs.
    gain : float
        Expected value of the information in one answer (EVSI): how much the best offer after it is worth more.
    perfect : float
        The same if the answer told the need without error (EVPI); no question is worth more.
    cost : float
        Of asking, in the same unit.
    """

    table: pd.DataFrame
    offer: "Hashable"
    value: float
    gain: float
    perfect: float
    cost: float

    @property
    def net(self) -> float:
        """Gain minus cost; ask if it is above 0."""
        return self.gain - self.cost

    def __repr__(self) -> str:
        return (
            f"Without asking: {self.offer!r}, worth {self.value:.4g}. An answer adds {self.gain:.4g} (at most "
            f"{self.perfect:.4g}), asking costs {self.cost:.4g}: {'ask' if self.net > 0 else 'do not ask'}\n"
            f"{self.table.round(4).to_string()}"
        )


def value_of_question(
    payoff: pd.DataFrame, prior: "pd.Series | Sequence[float]", answers: pd.DataFrame, *, cost: float = 0.0
) -> QuestionValue:
    """Expected value of the information in an answer: how much better the offer is that it lets one choose.

    .. math:: \\text{EVSI} = \\sum_s \\max_a \\sum_n p(n)\\,p(s|n)\\,u(n, a) - \\max_a \\sum_n p(n)\\,u(n, a)

    with needs n of chance p(n), answers s of chance p(s|n) and payoffs u of the offers a.

    Parameters
    ----------
    payoff : pandas.DataFrame, shape (needs, offers)
        Value of each offer to a customer with each need, e.g. expected margin; the index names the needs, the columns
        the offers.
    prior : pandas.Series or sequence of float, shape (needs,)
        Chance of each need before asking; a Series is matched by its index, a sequence is in the order of `payoff`.
    answers : pandas.DataFrame, shape (needs, answers)
        Chance of each answer given the need; rows add up to 1. Customers who do not answer are an answer too.
    cost : float, default 0
        Of asking, in the unit of the payoffs: an agent's minute, or the customer's patience.

    Returns
    -------
    QuestionValue

    Raises
    ------
    ContractError
        If the needs differ between the tables, or chances are none.

    References
    ----------
    Raiffa, H. & Schlaifer, R. (1961). *Applied Statistical Decision Theory*, ch. 4. Harvard Business School.

    Examples
    --------
    Sour or sweet? Half of the customers want sour apples, and say so.

    >>> needs = ["sour", "sweet"]
    >>> payoff = pd.DataFrame({"sour apples": [3.0, 0.0], "sweet apples": [0.5, 2.0]}, index=needs)
    >>> told = pd.DataFrame({"says sour": [1.0, 0.0], "says sweet": [0.0, 1.0]}, index=needs)
    >>> asked = value_of_question(payoff, [0.5, 0.5], told, cost=0.1)
    >>> asked.offer, asked.value, asked.gain, round(asked.net, 2)
    ('sour apples', 1.5, 1.0, 0.9)
    """
    u, p, says = _decision(payoff, prior, answers, cost)
    without = p @ u  # value of each offer to somebody who was not asked
    joint = says.T @ (p[:, None] * u)  # answers x offers: chance of the answer times value of the offer after it
    chance = p @ says
    best = joint.argmax(axis=1)
    after = joint.max(axis=1)
    table = pd.DataFrame(
        {
            "chance": chance,
            "offer": payoff.columns[best],
            "value": np.divide(after, chance, out=np.full(len(after), np.nan), where=chance > 0),
        },
        index=answers.columns.rename("answer"),
    )
    gain = max(0.0, float(after.sum() - without.max()))  # never below 0 but for rounding
    perfect = max(0.0, float(p @ u.max(axis=1) - without.max()))
    return QuestionValue(table, payoff.columns[int(without.argmax())], float(without.max()), gain, perfect, float(cost))


def _decision(
    payoff: pd.DataFrame, prior: "pd.Series | Sequence[float]", answers: pd.DataFrame, cost: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    for name, one in {"payoff": payoff, "answers": answers}.items():
        if not isinstance(one, pd.DataFrame) or one.empty:
            raise ContractError(f"{name} must be a DataFrame with one row per need")
        if one.index.has_duplicates or one.columns.has_duplicates:
            raise ContractError(f"{name} names a row or a column twice")
    if set(answers.index) != set(payoff.index):
        raise ContractError(f"answers are given for the needs {list(answers.index)}, payoffs for {list(payoff.index)}")
    if isinstance(prior, pd.Series):
        if set(prior.index) != set(payoff.index) or prior.index.has_duplicates:
            raise ContractError(f"prior is given for the needs {list(prior.index)}, payoffs for {list(payoff.index)}")
        prior = prior[payoff.index].tolist()
    try:
        u, p, says = (np.asarray(one, dtype=float) for one in (payoff, prior, answers.loc[payoff.index]))
    except (TypeError, ValueError) as error:
        raise ContractError(f"payoff, prior and answers must hold numbers: {error}") from None
    if p.shape != (len(payoff),):
        raise ContractError(f"prior needs one chance for each of {len(payoff)} needs, got shape {p.shape}")
    problems = [] if np.isfinite(u).all() else ["payoff: not a finite number in some place"]
    if not (np.isfinite(p).all() and (p >= 0).all() and abs(p.sum() - 1) < 1e-6):
        problems.append(f"prior: no chances that add up to 1, got {p.tolist()}")
    rows = ~(np.isfinite(says) & (says >= 0)).all(axis=1) | ~(abs(says.sum(axis=1) - 1) < 1e-6)
    problems += [f"answers: the chances do not add up to 1 for the need {need!r}" for need in payoff.index[rows]]
    if not (np.isfinite(cost) and cost >= 0):
        problems.append(f"cost: must be finite and 0 or more, got {cost}")
    if problems:
        raise ContractError("the value of a question cannot be found", problems)
    return u, p, says
