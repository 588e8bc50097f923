"""What is bought: products, occasions to buy, rules between products, and the lines of every order."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from crmlab.datasets.company.base import Columns, NotNegative, Positive, Share, category, choose, distinct, stamps

if TYPE_CHECKING:
    from crmlab.datasets.company.base import Floats, Ints
    from crmlab.datasets.company.firm import Block, Firm


@dataclass(frozen=True)
class Product:
    """A product: its category, usual price in money, and share of the price that is left after its own cost."""

    category: str
    price: Positive
    margin: Share


@dataclass(frozen=True)
class Occasion:
    """A reason to buy.

    Attributes
    ----------
    needs : mapping of str to float
        Need segment to the weight of this occasion among the segment's orders.
    categories : mapping of str to float
        Category to the weight of its products; categories not named are not bought on this occasion.
    """

    needs: Mapping[str, NotNegative]
    categories: Annotated[Mapping[str, Positive], Field(min_length=1)]


@dataclass(frozen=True)
class Rule:
    """A true association: an order with product `then_buys` added with probability `chance` when `given` is in it."""

    given: str
    then_buys: str
    chance: Share


@dataclass(frozen=True)
class OrderChannel:
    """A channel to order by: its share of the customers who prefer it, and the cost of serving one order."""

    share: Share
    cost: NotNegative


@dataclass(frozen=True)
class Assortment:
    """The products of a firm, and how orders are made of them.

    The value of an order comes first, by the Gamma-Gamma model; its lines share it in proportion to prices that vary
    by line. Within a category the k-th product has weight 1/k.

    Attributes
    ----------
    products : mapping of str to Product
    occasions : mapping of str to Occasion
    rules : tuple of Rule
    more_lines : float
        Mean number of lines beyond the first in an order of mean value; it grows with the value to the power 0.6.
    channels : mapping of str to OrderChannel
    keeps_channel : float
        Share of the orders that come by the customer's preferred channel; the others come by any.
    """

    products: Annotated[Mapping[str, Product], Field(min_length=1)]
    occasions: Mapping[str, Occasion]
    more_lines: NotNegative
    channels: Annotated[Mapping[str, OrderChannel], Field(min_length=1)]
    keeps_channel: Share
    rules: tuple[Rule, ...] = ()


MOST_LINES = 40


@dataclass(frozen=True)
class Lines:
    """The lines of a block's orders, sorted by order and product.

    Attributes
    ----------
    order, product : array of int
        Position of the order in the history, and of the product in the assortment.
    cents, quantity : array of int
        Amount of the line in hundredths, and units.
    order_cents, occasion, channel : array of int
        One entry per order: the sum of its lines, position of its occasion and of its channel.
    """

    order: "Ints"
    product: "Ints"
    cents: "Ints"
    quantity: "Ints"
    order_cents: "Ints"
    occasion: "Ints"
    channel: "Ints"


def profiles(assortment: Assortment) -> "Floats":
    """Probability of each product on each occasion, shape (occasions, products)."""
    categories = np.array([one.category for one in assortment.products.values()])
    popularity = np.array([1 / (1 + (categories[:k] == name).sum()) for k, name in enumerate(categories)])
    weights = [[one.categories.get(name, 0.0) for name in categories] for one in assortment.occasions.values()]
    chances = np.array(weights) * popularity
    return chances / chances.sum(axis=1, keepdims=True)


def draw_lines(block: "Block") -> Lines:
    """Draw value, occasion, channel and lines of every order of a block."""
    assortment, history, rng = block.scenario.assortment, block.history, block.rng("lines")
    orders, spend, mean = len(history.time), block.scenario.spend, block.rates.value[history.customer]
    assert spend is not None
    value = rng.gamma(spend.p, 1.0, orders) * mean / spend.p
    usual = spend.p * spend.gamma / (spend.q - 1)
    occasion = _occasions(block, rng)
    more = rng.poisson(assortment.more_lines * (value / usual) ** 0.6)
    order = np.repeat(np.arange(orders), 1 + np.minimum(more, MOST_LINES - 1))
    edges = np.cumsum(profiles(assortment), axis=1) + np.arange(len(assortment.occasions))[:, None]
    place = np.searchsorted(edges.ravel(), rng.random(len(order)) + occasion[order], side="right")
    product = np.minimum(place - occasion[order] * edges.shape[1], edges.shape[1] - 1)
    order, product = _with_rules(assortment, rng, order, product)
    price = np.array([one.price for one in assortment.products.values()])[product]
    cents = _shared(value, order, price, rng)
    return Lines(
        order=order,
        product=product,
        cents=cents,
        quantity=np.maximum(np.rint(cents / 100 / price), 1).astype("int64"),
        order_cents=np.bincount(order, weights=cents, minlength=orders).astype("int64"),
        occasion=occasion,
        channel=draw_channels(block, rng),
    )


def _occasions(block: "Block", rng: np.random.Generator) -> "Ints":
    needs = list(block.scenario.people.needs)
    occasions = block.scenario.assortment.occasions.values()
    weights = np.array([[one.needs.get(need, 0.0) for one in occasions] for need in needs])
    return choose(rng, weights[block.people.need[block.history.customer]])


def draw_channels(block: "Block", rng: np.random.Generator) -> "Ints":
    """Channel of every order of a block."""
    assortment, customer = block.scenario.assortment, block.history.customer
    shares = np.array([one.share for one in assortment.channels.values()])
    preferred = choose(rng, np.tile(shares, (block.n, 1)))[customer]
    elsewhere = rng.random(len(customer)) >= assortment.keeps_channel
    return np.where(elsewhere, rng.integers(0, len(shares), len(customer)), preferred)


def _with_rules(
    assortment: Assortment, rng: np.random.Generator, order: "Ints", product: "Ints"
) -> "tuple[Ints, Ints]":
    """Add what the rules add to each order; a product is one line of an order."""
    names, size = list(assortment.products), len(assortment.products)
    keys = distinct(order * size + product)
    added = [keys]
    for rule in assortment.rules:
        given = keys[keys % size == names.index(rule.given)]
        hit = given[rng.random(len(given)) < rule.chance]
        added.append(hit - hit % size + names.index(rule.then_buys))
    keys = distinct(np.concatenate(added))
    return keys // size, keys % size


def _shared(value: "Floats", order: "Ints", price: "Floats", rng: np.random.Generator) -> "Ints":
    """Cents of each line: a share of the order's value by price, at least one cent."""
    weight = price * rng.lognormal(0.0, 0.3, len(price))
    total = np.bincount(order, weights=weight, minlength=len(value))
    return np.maximum(np.rint(100 * value[order] * weight / total[order]), 1).astype("int64")


def products_table(firm: "Firm") -> Columns:
    """What the firm sells."""
    products = firm.scenario.assortment.products
    return {
        "product_id": np.arange(1, len(products) + 1),
        "name": list(products),
        "category": [one.category for one in products.values()],
        "price": np.array([one.price for one in products.values()]),
        "margin": np.array([one.margin for one in products.values()]),
    }


def transactions_table(block: "Block") -> Columns:
    """One row a line of an order: the transactions contract."""
    lines, history, assortment = block.lines, block.history, block.scenario.assortment
    amount = lines.cents / 100
    margin = np.array([one.margin for one in assortment.products.values()])[lines.product]
    return {
        "customer_id": block.ids[history.customer][lines.order],
        "date": stamps(history.time)[lines.order],
        "amount": amount,
        "order_id": history.order_id[lines.order],
        "product_id": lines.product + 1,
        "quantity": lines.quantity,
        "channel": category(lines.channel[lines.order], list(assortment.channels)),
        "cost": np.round(amount * (1 - margin), 2),
    }


def true_products_table(firm: "Firm") -> Columns:
    """Probability of every product on every occasion."""
    assortment = firm.scenario.assortment
    chances = profiles(assortment)
    occasions, products = chances.shape
    return {
        "occasion": category(np.repeat(np.arange(occasions), products), list(assortment.occasions)),
        "product_id": np.tile(np.arange(1, products + 1), occasions),
        "probability": chances.ravel(),
    }


def true_rules_table(firm: "Firm") -> Columns:
    """The associations that hold beyond the occasion."""
    assortment = firm.scenario.assortment
    place = {name: number for number, name in enumerate(assortment.products, start=1)}
    return {
        "given": np.array([place[rule.given] for rule in assortment.rules], dtype="int64"),
        "then_buys": np.array([place[rule.then_buys] for rule in assortment.rules], dtype="int64"),
        "probability": np.array([rule.chance for rule in assortment.rules], dtype="float64"),
    }
