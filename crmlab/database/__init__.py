"""The customer database: store and refresh it, summarise its customers, and segment them.

* `CustomerDB` keeps customers, orders, lines, products, campaigns, contacts and responses.
* `customer_summary` holds the one definition of frequency, recency, T and monetary value; `cohort_table` follows
  acquisition cohorts.
* `rfm`, `abc_classes`, `kmeans_segments` segment; `segment_stability` and `explained_share` say what it is worth.
* Figures are in `crmlab.database.plots`.
"""

from crmlab.database.clusters import (
    Segments,
    SegmentStability,
    explained_share,
    kmeans_segments,
    segment_stability,
)
from crmlab.database.cohorts import CohortTable, cohort_table
from crmlab.database.loading import LoadReport
from crmlab.database.purchases import new_customers
from crmlab.database.segments import ABC, RFM, abc_classes, rfm
from crmlab.database.store import CustomerDB
from crmlab.database.summary import CustomerSummary, customer_summary
from crmlab.database.views import Customer360

__all__ = [
    "ABC",
    "RFM",
    "CohortTable",
    "Customer360",
    "CustomerDB",
    "CustomerSummary",
    "LoadReport",
    "SegmentStability",
    "Segments",
    "abc_classes",
    "cohort_table",
    "customer_summary",
    "explained_share",
    "kmeans_segments",
    "new_customers",
    "rfm",
    "segment_stability",
]
