"""The composition root and the command line: embedded servers, supervision, foremend up.

Whatever must import everything lives here; whatever need not, does not.
"""
