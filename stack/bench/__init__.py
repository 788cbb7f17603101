"""Benchmarks that users run: real servers, thrown away afterwards, and ratios of one run.

What they measure stands elsewhere; nothing of the product imports this.
"""
