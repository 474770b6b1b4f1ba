"""What the board reads of run folders; nothing here writes into one."""
