"""`percolator doctor`: diagnoses why no data arrives.

`examine` gathers the facts and `diagnose`, which is pure, draws conclusions from them.
"""
