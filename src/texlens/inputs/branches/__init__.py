"""Several answers that share one image: examples of branches, and the segments of their packs."""
