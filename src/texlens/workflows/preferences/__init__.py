"""Data sets of preferences: answers that a model draws are scored and compared; corrected rows have both answers."""
