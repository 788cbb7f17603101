"""Programs that speak as real devices do, each upon one simulated printer.

What is physical stands in the room above; here stands only how a protocol tells it.
"""
