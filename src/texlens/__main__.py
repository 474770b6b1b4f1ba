"""`python -m texlens` is the `texlens` command."""

from texlens.cli.main import main

if __name__ == "__main__":
    main()
