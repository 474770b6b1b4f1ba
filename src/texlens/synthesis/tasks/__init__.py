"""Auxiliary questions about a formula, made from its parse tree: structure, counts, corrections, parts."""
