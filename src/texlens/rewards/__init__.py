"""What an answer is worth against its reference, for reinforcement and preferences. No torch."""
