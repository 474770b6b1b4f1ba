"""The version of TexLens, once."""

VERSION = "0.2.0"
