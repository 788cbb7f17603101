"""Rollups kept right under late data, and old sections dropped or compressed by rule.

It follows the input log as scoring does, in a process of its own, and slows no commit.
"""
