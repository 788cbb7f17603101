"""A simulated year of the closed loop on a virtual clock, and two ways without it to compare with.

Composition alone: every decision, model and store is the one that the running system has.
"""
