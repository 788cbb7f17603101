"""`python -m stack` is the console script `foremend`."""

from stack.cli import main

main()
