"""Machines with an OPC UA server."""
