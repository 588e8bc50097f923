"""The data door: every table enters crmlab here, is checked once, and says where it comes from."""

from crmlab.datasets.cards import Card
from crmlab.datasets.catalogue import Dataset, describe, list, load, source
from crmlab.datasets.reading import Reading, Report, read_transactions

__all__ = ["Card", "Dataset", "Reading", "Report", "describe", "list", "load", "read_transactions", "source"]
