"""Word of mouth on a network: who knows whom, whom to tell first, how far it spreads, and who refers to whom."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from crmlab.contracts import broken_rules, one_of, require_columns
from crmlab.errors import ContractError
from crmlab.stats import proportion_interval

if TYPE_CHECKING:
    Array = npt.NDArray[Any]

Rule = Literal["random", "friends of random people", "most friends", "greedy"]


@dataclass(frozen=True, eq=False)
class Network:
    """Who knows whom.

    Attributes
    ----------
    people : array, shape (n,)
        Ids, sorted.
    ties : array of int, shape (m, 2)
        Positions in `people` of two who know each other, each pair once.
    """

    people: "Array"
    ties: "Array"

    @property
    def friends(self) -> pd.Series:
        """Number of friends, by person."""
        return pd.Series(np.bincount(self.ties.ravel(), minlength=len(self.people)), index=self.people)

    @property
    def friends_of_friends(self) -> float:
        """Mean number of friends of a friend, over all friendships: never below the mean number (Feld 1991)."""
        friends = self.friends
        return float((friends**2).sum() / friends.sum())

    def __repr__(self) -> str:
        friends = self.friends
        return (
            f"{len(self.people):,} people, {len(self.ties):,} ties; {friends.mean():.1f} friends in the mean (most "
            f"{friends.max()}), {self.friends_of_friends:.1f} for a friend; {(friends == 0).sum():,} without friends"
        )


def network(
    ties: pd.DataFrame, *, columns: tuple[str, str] = ("customer_id", "friend_id"), people: Any = None
) -> Network:
    """Make a network of a table of ties.

    Parameters
    ----------
    ties : pandas.DataFrame
        One row per pair who know each other, once, in any order of the two.
    columns : (str, str), default ("customer_id", "friend_id")
        Names of the two ids.
    people : array_like, optional
        All ids, if some may have no tie. Default: those in `ties`.

    Raises
    ------
    ContractError
        If columns are missing, there is no tie, an id is missing or unknown, someone is tied to themselves or a pair
        appears twice.

    Examples
    --------
    >>> star = pd.DataFrame({"customer_id": ["hub", "hub", "hub"], "friend_id": ["a", "b", "c"]})
    >>> network(star)
    4 people, 3 ties; 1.5 friends in the mean (most 3), 2.0 for a friend; 0 without friends
    """
    require_columns(ties, columns, "network")
    if len(set(columns)) != 2 or len(columns) != 2:
        raise ContractError(f"a network needs two different columns of ids, got {columns}")
    pairs = ties[list(columns)]
    ids = pd.concat([pairs[name] for name in columns]).dropna() if people is None else pd.Series(np.ravel(people))
    try:
        known = pd.Index(ids.unique()).sort_values()
    except TypeError:
        raise ContractError("ids of several kinds, numbers and text: make them one kind first") from None
    where = np.column_stack([known.get_indexer(pd.Index(pairs[name])) for name in columns])
    low, high = where.min(axis=1), where.max(axis=1)
    missing = pairs.isna().any(axis=1).to_numpy()
    rules = {
        "id missing": missing,
        "id not among `people`": (low < 0) & ~missing,
        "tied to themselves": (low == high) & (low >= 0),
        "pair twice": pd.DataFrame({"low": low, "high": high}).duplicated().to_numpy() & (low >= 0),
    }
    problems = broken_rules(rules)
    problems += ["people: id missing"] * bool(known.hasnans)
    if ties.empty or problems:
        raise ContractError("these ties make no network (rows counted from 1)", problems or ["no tie"])
    return Network(known.to_numpy(), where)


def choose_seeds(
    net: Network, n: int, rule: Rule, *, seed: int, chance: float | None = None, draws: int = 200
) -> "Array":
    """Choose whom to give the product to first.

    Parameters
    ----------
    net : Network
        Who knows whom.
    n : int
        Number of seeds.
    rule : {"random", "friends of random people", "most friends", "greedy"}
        Equal chances; a random friend of a random person, which needs no map of the network (acquaintance rule); the
        largest numbers of friends; the one who adds most to the mean reach, again and again.
    seed : int
        Seed of every random choice; equal scores are put in a random order by it.
    chance : float, optional
        Chance that a friend passes it on, for ``greedy`` only.
    draws : int, default 200
        Simulated cascades behind ``greedy``.

    Returns
    -------
    array, shape (n,)
        Ids; the first k are the choice for k seeds.

    Raises
    ------
    ContractError
        If `n` is not between 1 and the number of people (with friends, for the rules that need them), the rule is
        unknown, or `chance` is missing or not between 0 and 1.

    References
    ----------
    Cohen, R., Havlin, S. & ben-Avraham, D. (2003). Efficient immunization strategies for computer networks and
    populations. *Physical Review Letters* 91, 247901. (acquaintances)
    Kempe, D., Kleinberg, J. & Tardos, E. (2003). Maximizing the spread of influence through a social network. *KDD*
    '03, 137-146. (greedy reaches at least 63 % of what the best choice reaches)

    Examples
    --------
    >>> star = network(pd.DataFrame({"customer_id": ["hub", "hub", "hub"], "friend_id": ["a", "b", "c"]}))
    >>> choose_seeds(star, 1, "most friends", seed=1).tolist()
    ['hub']
    """
    one_of("rule", rule, Rule)
    friends = net.friends.to_numpy()
    most = len(friends) if rule != "friends of random people" else int((friends > 0).sum())
    if not isinstance(n, int | np.integer) or not 1 <= n <= most:
        raise ContractError(f"n must be a whole number from 1 to {most:,}, got {n!r}")
    rng = np.random.default_rng(seed)
    if rule == "friends of random people":
        return net.people[_acquaintances(net, n, rng)]
    shuffled = rng.permutation(len(friends))
    if rule == "random":
        return net.people[shuffled[:n]]
    if rule == "most friends":
        return net.people[shuffled[np.argsort(-friends[shuffled], kind="stable")[:n]]]
    if chance is None:
        raise ContractError("greedy needs `chance`, with which a friend passes it on")
    if draws < 1:
        raise ContractError(f"greedy needs 1 draw or more, got {draws}")
    component = np.array(list(_cascades(net, chance, draws, rng)))
    gain = np.array([np.bincount(one)[one] for one in component])
    chosen: list[int] = []
    for _ in range(n):
        score = gain.sum(axis=0)
        score[chosen] = -1  # never twice, also when nobody is left to reach
        chosen.append(int(shuffled[np.argmax(score[shuffled])]))
        gain[component == component[:, [chosen[-1]]]] = 0
    return net.people[chosen]


def _acquaintances(net: Network, n: int, rng: np.random.Generator) -> "list[int]":
    """Random friends of random people, until there are n different ones."""
    ends = np.concatenate([net.ties, net.ties[:, ::-1]])
    ends = ends[np.argsort(ends[:, 0], kind="stable")]
    start = np.searchsorted(ends[:, 0], np.arange(len(net.people) + 1))
    chosen: dict[int, None] = {}
    while len(chosen) < n:
        who = int(rng.integers(len(net.people)))
        if start[who] < start[who + 1]:
            chosen[int(ends[rng.integers(start[who], start[who + 1]), 1])] = None
    return list(chosen)


def reach(
    net: Network, plans: Mapping[str, npt.ArrayLike], *, chance: float, draws: int = 500, seed: int
) -> pd.DataFrame:
    """How many people each choice of seeds reaches: the independent cascade.

    Whoever is reached has one chance to pass it on to each friend, with probability `chance`. Because the chance is the
    same in both directions, who is reached are those connected to a seed when every tie is kept with this probability
    (bond percolation); all plans are held against the same draws, so that they differ by the seeds only.

    Parameters
    ----------
    net : Network
        Who knows whom.
    plans : mapping of str to array_like
        Name of a plan to the ids of its seeds.
    chance : float
        Chance that a friend passes it on, 0 to 1.
    draws : int, default 500
        Simulated cascades, 2 or more.
    seed : int
        Seed of the draws; take another one than in `choose_seeds`, or the greedy choice looks too good.

    Returns
    -------
    pandas.DataFrame, one row per plan
        ``seeds``; ``reached``, the mean number of people, seeds included, with its simulation error ``std_error``;
        ``more_than_first``, the mean difference to the first plan, with ``difference_error``.

    Raises
    ------
    ContractError
        If there is no plan, a plan has no seed, an unknown one or one twice, or `chance` or `draws` are out of range.

    References
    ----------
    Kempe, D., Kleinberg, J. & Tardos, E. (2003). Maximizing the spread of influence through a social network. *KDD*
    '03, 137-146, section 2.2.

    Examples
    --------
    >>> star = network(pd.DataFrame({"customer_id": ["hub", "hub", "hub"], "friend_id": ["a", "b", "c"]}))
    >>> reach(star, {"hub": ["hub"], "leaf": ["a"]}, chance=0.5, seed=1)["reached"].round(1).to_dict()
    {'hub': 2.5, 'leaf': 2.0}
    """
    positions = {name: pd.Index(net.people).get_indexer(pd.Index(np.atleast_1d(ids))) for name, ids in plans.items()}
    problems = [
        f"{name}: needs seeds of the network, each once"
        for name, seeds in positions.items()
        if not len(seeds) or (seeds < 0).any() or len(set(seeds)) < len(seeds)
    ]
    if not plans or problems or draws < 2:
        raise ContractError("the reach of these plans cannot be simulated", problems or ["need a plan and 2 draws"])
    drawn = [
        {name: np.bincount(one)[np.unique(one[seeds])].sum() for name, seeds in positions.items()}
        for one in _cascades(net, chance, draws, np.random.default_rng(seed))
    ]
    reached = pd.DataFrame(drawn)
    more = reached.sub(reached.iloc[:, 0], axis=0)
    table = {
        "seeds": {name: len(seeds) for name, seeds in positions.items()},
        "reached": reached.mean(),
        "std_error": reached.sem(),
        "more_than_first": more.mean(),
        "difference_error": more.sem(),
    }
    return pd.DataFrame(table).rename_axis("plan")


def _cascades(net: Network, chance: float, draws: int, rng: np.random.Generator) -> Iterator["Array"]:
    """For every draw the number of the connected part of each person, shape (people,)."""
    if not 0 <= chance <= 1:
        raise ContractError(f"chance must lie between 0 and 1, got {chance}")
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    shape = (len(net.people), len(net.people))
    for _ in range(draws):
        one, other = net.ties[rng.random(len(net.ties)) < chance].T
        kept = coo_array((np.ones(len(one)), (one, other)), shape=shape)
        yield connected_components(kept, directed=False)[1]


@dataclass(frozen=True, eq=False)
class ReferralFlows:
    """Who refers customers to whom.

    Attributes
    ----------
    matrix : pandas.DataFrame, shape (groups, groups)
        Referrals from the partner of the row to the partner of the column.
    over_expected : pandas.DataFrame, shape (groups, groups)
        The same over what row and column sums alone would give: above 1, more than by size.
    table : pandas.DataFrame, one row per partner
        ``given`` to and ``taken`` from others, ``within``, ``net`` (given - taken), ``share_given`` of given + taken
        with its 95 % limits ``low`` and ``high``, and ``verdict``: giver, taker, or balanced if the limits hold 0.5.
    """

    matrix: pd.DataFrame
    over_expected: pd.DataFrame
    table: pd.DataFrame

    def __repr__(self) -> str:
        total = int(self.matrix.to_numpy().sum())
        return f"{total:,} referrals among {len(self.matrix)} partners\n{self.table.round(2).to_string()}"


def referral_flows(referrals: pd.DataFrame, partner: pd.Series) -> ReferralFlows:
    """Matrix of referrals between partners, and who gives more than they take.

    Parameters
    ----------
    referrals : pandas.DataFrame
        One row per referral: ``referrer_id`` and ``customer_id``.
    partner : pandas.Series
        Partner (shop, firm, region) of every customer, indexed by customer.

    Raises
    ------
    ContractError
        If columns or ids are missing, a customer has no partner or two, or there are no two partners.

    Examples
    --------
    >>> partner = pd.Series(["inn", "inn", "guide", "guide"], index=["a", "b", "c", "d"])
    >>> sent = pd.DataFrame({"referrer_id": ["a", "b", "a", "c"], "customer_id": ["c", "d", "b", "a"]})
    >>> referral_flows(sent, partner).table[["given", "taken", "within", "net", "verdict"]]
           given  taken  within  net   verdict
    guide      1      2       0   -1  balanced
    inn        2      1       1    1  balanced
    """
    require_columns(referrals, ["referrer_id", "customer_id"], "referral_flows")
    if not isinstance(partner, pd.Series):
        raise ContractError(f"partner must be a Series indexed by customer, not {type(partner).__name__}")
    if not partner.index.is_unique:
        raise ContractError("partner: a customer appears twice in the index")
    sides = {name: referrals[name].map(partner) for name in ("referrer_id", "customer_id")}
    problems = broken_rules({f"{name}: missing, or without a partner": one.isna() for name, one in sides.items()})
    names = sorted(set(sides["referrer_id"].dropna()) | set(sides["customer_id"].dropna()), key=str)
    if problems or len(names) < 2:
        raise ContractError("no flows between partners (rows counted from 1)", problems or ["need two partners"])
    matrix = pd.crosstab(sides["referrer_id"], sides["customer_id"]).reindex(index=names, columns=names, fill_value=0)
    matrix = matrix.rename_axis(index="from", columns="to")
    expected = np.outer(matrix.sum(axis=1), matrix.sum()) / matrix.to_numpy().sum()
    within = pd.Series(np.diag(matrix), index=matrix.index)
    table = pd.DataFrame({"given": matrix.sum(axis=1) - within, "taken": matrix.sum() - within, "within": within})
    table.index.name = None
    limits = [
        proportion_interval(g, g + t) if g + t else None for g, t in zip(table["given"], table["taken"], strict=True)
    ]
    table["net"] = table["given"] - table["taken"]
    for column, name in {"share_given": "estimate", "low": "low", "high": "high"}.items():
        table[column] = [np.nan if one is None else getattr(one, name) for one in limits]
    table["verdict"] = np.select([table["low"] > 0.5, table["high"] < 0.5], ["giver", "taker"], "balanced")
    with np.errstate(invalid="ignore", divide="ignore"):
        over = matrix / expected
    return ReferralFlows(matrix, over, table)
