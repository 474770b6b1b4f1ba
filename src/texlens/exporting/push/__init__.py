"""`texlens push`: a folder that may be published, its model card, and the hubs' own clients."""
