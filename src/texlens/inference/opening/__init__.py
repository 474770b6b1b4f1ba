"""From the name of a model to what is loaded: resolved and checked before any weight is read."""
