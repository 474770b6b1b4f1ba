from tests.unit.kernels.attention.branched import prefixes_of

ROWS = [(3, [2, 1]), (2, [])]


def test_bounds_are_those_of_the_docstring():
    prefixes = prefixes_of(ROWS)
    assert prefixes.cu_seqlens.tolist() == [0, 3, 5, 6, 8]
    assert prefixes.ends.tolist() == [0, 3, 3, 6]
    assert prefixes.group_ends.tolist() == [6, 5, 6, 8]


def test_tokens_before_a_branch_are_its_prefixs_last():
    before = [prefixes_of(ROWS).tokens_before(back, 8) for back in (1, 2, 3)]
    shown = [[int(t) if e else None for t, e in zip(token, exists, strict=True)] for token, exists in before]
    assert shown[0] == [None, 0, 1, 2, 3, 2, None, 6]
    assert shown[1] == [None, None, 0, 1, 2, 1, None, None]
    assert shown[2] == [None, None, None, 0, 1, 0, None, None]


def test_two_passes_take_every_token_once_and_name_each_branchs_prefix():
    passes = prefixes_of([(2, []), *ROWS]).passes
    assert passes.roots.tolist() == [0, 1, 2, 3, 4, 8, 9]
    assert passes.branches.tolist() == [5, 6, 7]
    assert passes.root_bounds.tolist() == [0, 2, 5, 7]
    assert passes.branch_bounds.tolist() == [0, 2, 3]
    assert passes.root_of.tolist() == [1, 1]


def test_padded_queries_of_a_branch_see_prefix_and_own_keys_up_to_themselves():
    padded = prefixes_of(ROWS).padded
    assert padded.key_index[1].tolist() == [0, 1, 2, 3, 4, 5]
    assert padded.is_key[1].tolist() == [True, True, True, True, True, False]
    assert padded.mask[1, 0, 1].tolist() == [True, True, True, True, True, False]
    assert padded.mask[0, 0, 1].tolist() == [False, False, False, True, True, False]
    assert padded.query_index.flatten()[padded.token_index].tolist() == list(range(8))
