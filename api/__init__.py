"""The HTTP API, sign-in and permissions, and the console pages.

It shows and moves what the other folders decide; it decides nothing about machines.
"""
