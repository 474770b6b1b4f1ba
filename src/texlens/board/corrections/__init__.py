"""What the page of corrections does in a folder of images."""
