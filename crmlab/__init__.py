"""crmlab: the lab bench of customer relationship management.

Importing this package loads nothing but itself; take what you need from its rooms::

    from crmlab.datasets import load, read_transactions
    from crmlab.database import CustomerDB, customer_summary
    from crmlab.lab import run, record, export, check
"""

__version__ = "0.1.0"
