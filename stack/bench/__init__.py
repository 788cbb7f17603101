"""Benchmarks that users run: real servers, thrown away afterwards, and ratios of one and the same run.

What they measure stands elsewhere; nothing of the product imports this.
"""
