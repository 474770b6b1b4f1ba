"""`texlens push`: a folder that may be published, its card, and the hubs' own clients."""
