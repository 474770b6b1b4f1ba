r"""A model's LaTeX written as people write it: `\sin` for `\operatorname { s i n }`, spaces where they help the eye."""


def readable(formula: str) -> str:
    return formula.strip()
