"""What the pages that TexLens writes have in common: colours and layout, light and dark, pictures inside the file."""
