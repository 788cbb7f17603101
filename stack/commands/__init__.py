"""What the command line offers, one module a subject; each loads what it runs only when it runs.

What the commands do stands elsewhere: in the rooms, and in `stack`.
"""
