"""Relationships with customers: how long they last, why they end, and what can be done about it."""
