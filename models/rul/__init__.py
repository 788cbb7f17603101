"""Remaining useful life from run-to-failure records: features, bagged trees, conformal intervals.

What is told is told in cycles of use, whatever a cycle is: flights, prints, hours.
"""
