"""What the pages that TexLens writes have in common: colors and layout, light and dark, pictures inside the file."""
