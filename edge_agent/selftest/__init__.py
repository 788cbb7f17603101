"""Self-tests of a printer, whichever firmware it runs: a plan, a run, a judgement of what was read.

Sources give a `Bench`; nothing here knows how a printer is told anything.
"""
