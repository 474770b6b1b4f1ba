"""A data set as one would show it to a colleague: what is in it, what is wrong with it, what it costs to train on."""
