from texlens.board.planning.preview import preview_rows
from texlens.config.load import build_config


def test_rows_have_picture_label_and_tokens():
    config = build_config({"model": {"path": "nano"}, "data": {"path": "demo"}})
    preview = preview_rows(config, 1, 2)
    assert (preview["rows"], preview["exact"], len(preview["entries"])) == (660, True, 2)
    entry = preview["entries"][0]
    assert entry["picture"].startswith("data:image/")
    assert "".join(entry["tokens"]).replace(" ", "") == entry["text"].replace(" ", "")
    assert entry["answer_tokens"] == len(entry["tokens"]) + 1
    assert entry["image_tokens"] > 0
    assert entry["text_tokens"] > entry["answer_tokens"]
    assert preview_rows(config, 10_000, 2)["entries"] == []
