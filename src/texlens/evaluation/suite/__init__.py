"""Public test sets under the rules by which their numbers were published: `texlens evaluate RUN --suite crohme`."""
