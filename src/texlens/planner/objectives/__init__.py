"""What objectives take beside likelihood."""
