"""Trials: a challenger beside the model in force, what each would have brought, who goes on.

`promotion` decides and is pure, `judging` counts; `store` keeps trials in the database.
"""
