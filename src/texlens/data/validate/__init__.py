"""Every row of a data set looked at: what is wrong with it, where it stands twice, and what fixes it."""
