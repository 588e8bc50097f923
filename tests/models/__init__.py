"""Tests of the statistical core."""
