"""Damaged and hostile inputs by kind, and calls in child processes with bounds of time and memory."""
