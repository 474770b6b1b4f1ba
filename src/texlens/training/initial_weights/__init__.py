"""The weights that an adapter begins with: its own initialization, or those of an adapter trained before."""
