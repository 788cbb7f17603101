"""Printers behind OctoPrint, read through its push socket and told by its REST API."""
