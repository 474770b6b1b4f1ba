from tests.unit.inputs.examples import IMAGE, LAYOUT, PAD, example
from texlens.inputs.pack import PackBucket, PackSpec, build_pack


def test_a_pack_holds_its_examples_end_to_end():
    pack = build_pack([example("a", (2, 4), [5, 6]), example("b", (2, 2), [7])], LAYOUT)
    assert pack["rows"] == ["a", "b"]
    assert pack["ids"].tolist() == [1, IMAGE, IMAGE, 2, 5, 6, 1, IMAGE, 2, 7]
    assert pack["text_ends"].tolist() == [0, 6, 10, 10]
    assert pack["label_rows"].tolist() == [3, 4, 8]
    assert pack["labels"].tolist() == [5, 6, 7]
    assert pack["image_rows"].tolist() == [1, 2, 7]
    assert pack["feature_rows"].tolist() == [0, 1, 2]
    assert pack["image_ends"].tolist() == [0, 8, 12, 12]
    assert pack["positions"].tolist() == [
        [0, 1, 1, 3, 4, 5, 0, 1, 2, 3],
        [0, 1, 1, 3, 4, 5, 0, 1, 2, 3],
        [0, 1, 2, 3, 4, 5, 0, 1, 2, 3],
    ]
    assert pack["cells"].tolist() == [[0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1], [0, 1, 0, 1, 2, 3, 2, 3, 0, 1, 0, 1]]
    assert (pack["longest_text"], pack["longest_image"], pack["tokens"]) == (6, 8, 10)


def test_padding_is_a_segment_of_its_own_without_labels():
    spec = PackSpec(IMAGE, PAD, token_multiple=8, patch_multiple=16)
    pack = build_pack([example("a", (2, 4), [5, 6])], spec)
    assert pack["ids"].tolist() == [1, IMAGE, IMAGE, 2, 5, 6, PAD, PAD]
    assert pack["text_ends"].tolist() == [0, 6, 8]
    assert pack["labels"].tolist() == [5, 6]
    assert pack["patches"].shape == (16, 12)
    assert pack["image_ends"].tolist() == [0, 8, 16]
    assert pack["feature_rows"].tolist() == [0, 1]


def test_windows_hold_neighboring_patches():
    spec = PackSpec(IMAGE, PAD, window=1)
    pack = build_pack([example("a", (4, 4), [5])], spec)
    assert pack["window_ends"].tolist() == [0, 4, 8, 12, 16, 16]
    assert pack["longest_window"] == 4
    windowed = build_pack([example("a", (4, 6), [5])], PackSpec(IMAGE, PAD, window=2))
    assert windowed["window_ends"].tolist() == [0, 16, 24, 24]
    assert windowed["feature_rows"].tolist() == [0, 1, 4, 2, 3, 5]


def test_a_pack_with_many_patches_or_labels_takes_the_shapes_of_a_longer_one():
    bucket = PackBucket(tokens=8, patches=4, labels=2, patches_per_token=1.0, labels_per_token=0.5, most_tokens=64)
    spec = PackSpec(IMAGE, PAD, bucket=bucket)
    shapes = {
        "usual": build_pack([example("a", (2, 4), [5, 6])], spec),
        "many patches": build_pack([example("a", (4, 4), [5])], spec),
        "many labels": build_pack([example("a", (2, 2), [5, 6, 7, 5])], spec),
    }
    sizes = {name: (len(pack["ids"]), len(pack["patches"]), len(pack["labels"])) for name, pack in shapes.items()}
    assert sizes == {"usual": (8, 8, 4), "many patches": (16, 16, 8), "many labels": (8, 8, 4)}
    assert shapes["many patches"]["label_count"] == 1
    assert bucket.tokens_for(7, 8, 5) == 16


def test_a_pack_whose_patches_fit_no_longer_one_keeps_its_tokens():
    bucket = PackBucket(tokens=8, patches=4, labels=2, patches_per_token=1.0, labels_per_token=0.5, steps_up=1)
    pack = build_pack([example("a", (4, 10), [5])], PackSpec(IMAGE, PAD, bucket=bucket))
    assert (len(pack["ids"]), len(pack["patches"])) == (16, 40)
    assert PackBucket().tokens_for(6100, 15_500, 0) == 6144
