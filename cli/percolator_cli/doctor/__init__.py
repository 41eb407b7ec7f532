"""`percolator doctor`: looks at what a person would look at when nothing arrives.

`examine` gathers what can be known, `diagnose` (pure) judges it.
"""
