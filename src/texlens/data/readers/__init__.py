"""Where rows come from, one file a format; `find.py` knows them all."""
