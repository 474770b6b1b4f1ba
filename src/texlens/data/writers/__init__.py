"""How rows are written for other programs, one file a format; `find.py` knows them all."""
