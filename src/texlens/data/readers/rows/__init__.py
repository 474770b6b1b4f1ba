"""What formats share: records, columns, JSON streams, image files."""
