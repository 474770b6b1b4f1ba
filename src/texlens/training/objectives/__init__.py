"""What a step optimizes beside the likelihood of texts: preferences and rewards."""
