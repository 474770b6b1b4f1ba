"""`texlens sweep`: trainings with different settings in one process, compared on the same validation rows.

space.py       what is varied: choices and ranges
samplers.py    which values each trial has: grid, random, tpe
shared.py      one base model, one reading of the data for all trials
evidence.py    validation losses of a trial, and intervals of their differences
stopping.py    when a trial ends early
trial.py       one training, and what it measured
run.py         the trials one after the other, and what is kept of them on disk
report.py      report.html and sweep.json
"""
