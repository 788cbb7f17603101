"""Reads an engineer's own recordings from delimited text; every fault names file, line and field.

Columns are recognised by name (`models.tables.names`), times by their form
(`models.tables.times`); what the figures mean is for those who ask.
"""
