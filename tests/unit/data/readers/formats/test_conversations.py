import json

import pytest

from tests.unit.data.pictures import png
from texlens.core.errors import DataError
from texlens.data.load import load_split
from texlens.data.readers.formats.conversations import parse_conversation
from texlens.data.sample import Turn


def qwen(value, answer="x", **row):
    turns = [{"role": "user", "value": value}, {"role": "assistant", "value": answer}]
    return {"id": "r", "conversations": turns, **row}


def messages(*parts, answer="x", **row):
    return {"messages": [{"role": "user", "content": list(parts)}, {"role": "assistant", "content": answer}], **row}


@pytest.mark.parametrize(
    ("row", "prompt"),
    [
        (qwen("<|vision_start|>a.png<|vision_end|>"), None),
        (qwen("<|vision_start|>a.png<|vision_end|>\n读出公式"), "读出公式"),
        (qwen("COCO Yes: <|vision_start|>a.png<|vision_end|>"), "COCO Yes:"),
        (qwen("<img>a.png</img>Read"), "Read"),
        (qwen("a.png"), None),
        (qwen("<image>\nRead", image="a.png"), "Read"),
        (qwen("<|vision_start|><|image_pad|><|vision_end|>Read", images=["a.png"]), "Read"),
        (qwen("Read", image={"path": "a.png"}), "Read"),
        (
            {
                "image": "a.png",
                "conversations": [{"from": "human", "value": "<image>\nRead"}, {"from": "gpt", "value": "x"}],
            },
            "Read",
        ),
        (messages({"type": "image", "image": "a.png"}, {"type": "text", "text": "Read"}), "Read"),
        (
            messages(
                {"type": "image", "image": "a.png", "text": None}, {"type": "text", "text": "Read", "image": None}
            ),
            "Read",
        ),
        (messages({"type": "image"}, {"type": "text", "text": "Read"}, images=["a.png"]), "Read"),
        (messages({"type": "image_url", "image_url": {"url": "file://a.png"}}), None),
        (messages({"type": "image", "image": "a.png"}, answer=[{"type": "text", "text": "x"}]), None),
    ],
)
def test_every_common_spelling_is_read(row, prompt, tmp_path):
    read = parse_conversation(row, tmp_path)
    assert (read.images, read.text, read.prompt, read.system) == ((tmp_path / "a.png",), "x", prompt, None)


def test_a_system_message_becomes_the_rows_system(tmp_path):
    row = qwen("a.png")
    row["conversations"].insert(0, {"role": "system", "value": "You read."})
    assert parse_conversation(row, tmp_path).system == "You read."


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ([], "a row must be an object, not list"),
        ({}, "no 'conversations' and no 'messages' list"),
        (qwen("Read"), "0 images; name one in the user's turn"),
        (qwen("<image>Read", images=["a.png", "b.png"]), "2 images for 1 <image> placeholders"),
        (qwen("a.png", answer=None), "a turn holds NoneType where its text should be"),
        (qwen("https://x.org/a.png"), "is a URL; download it"),
        (messages({"type": "image", "image": "data:image/png;base64,AA"}), "is a URL"),
        (qwen("Read", image=7), "an image named by int"),
        ({"conversations": [{"role": "tool", "value": "x"}]}, "a turn of role 'tool'"),
        ({"conversations": qwen("a.png")["conversations"][::-1]}, "1 answers; the last turn must be the assistant's"),
        ({"conversations": qwen("a.png")["conversations"][:1]}, "0 answers; the last turn"),
        (qwen("../a.png"), "is outside"),
        (qwen("/etc/a.png"), "is outside"),
        (qwen("b/../../a.png"), "is outside"),
    ],
)
def test_a_row_of_another_form_says_why(row, reason, tmp_path):
    with pytest.raises(DataError, match=reason):
        parse_conversation(row, tmp_path)


def test_a_link_that_leaves_the_folder_is_outside(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "secret.png").write_bytes(png())
    (tmp_path / "set" / "a.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(DataError, match="is outside"):
        parse_conversation(qwen("a.png"), tmp_path / "set")
    assert parse_conversation(qwen("a.png"), tmp_path / "set", allow_outside=True).images[0].is_file()


def write_lines(path, *rows):
    path.write_bytes(b"\n".join(row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows))
    return path


def test_a_jsonl_names_its_lines_and_rejects_the_bad_ones(tmp_path):
    (tmp_path / "a.png").write_bytes(png(40, 20))
    good = qwen("a.png", id=None)
    file = write_lines(tmp_path / "rows.jsonl", b"\xef\xbb\xbf" + json.dumps(good).encode(), b"", b"{", b'"\xff"', good)
    rows = load_split(file)
    assert [(sample.id, sample.image.size) for sample in rows] == [("train-0", (40, 20)), ("train-3", (40, 20))]
    assert rows[1].image.where == f"{file} line 5 (a.png)"
    assert rows.total == 4
    assert [str(rejected_row) for rejected_row in rows.rejected] == [
        f"{file} line 3: not JSON at character 2 (Expecting property name enclosed in double quotes)",
        f"{file} line 4: byte 2 of the line is 0xff, not UTF-8; save it as UTF-8",
    ]


def test_a_json_list_is_read_and_its_faults_are_placed(tmp_path):
    (tmp_path / "a.png").write_bytes(png(40, 20))
    file = tmp_path / "rows.json"
    file.write_text(json.dumps([qwen("a.png"), {}]), encoding="utf-8-sig")
    rows = load_split(file)
    assert [sample.id for sample in rows] == ["r"]
    assert str(rows.rejected[0]) == f"{file} row 1: no 'conversations' and no 'messages' list"
    file.write_bytes(b'[\n{"a": "\xe9"}]')
    with pytest.raises(DataError, match=r"rows.json line 2: byte 10 of the file is 0xe9, not UTF-8"):
        load_split(file)
    file.write_text("[\n{},\n{]")
    with pytest.raises(DataError, match=r"rows.json line 3 column 2: not JSON .*fix it, or download it again"):
        load_split(file)
    file.write_text("{}")
    with pytest.raises(DataError, match="must hold a list of rows under one of data, rows, samples, not dict"):
        load_split(file)
    file.write_text("[]", encoding="utf-16")
    with pytest.raises(DataError, match="it is UTF-16; save it as UTF-8"):
        load_split(file)
    file.write_text("[" * 100_000)
    with pytest.raises(DataError, match="nested too deeply"):
        load_split(file)
    file.write_text("[]")
    with pytest.raises(DataError, match="no row in it"):
        load_split(file)


def test_several_images_and_turns_keep_their_places(tmp_path):
    turns = [
        {"from": "human", "value": "What is <image>?"},
        {"from": "gpt", "value": "a sum"},
        {"from": "human", "value": "And <image>?"},
        {"from": "gpt", "value": "a product"},
    ]
    read = parse_conversation(
        {"conversations": turns, "images": ["a.png", "b.png"], "answers": ["a product", "p"]}, tmp_path
    )
    assert read.images == (tmp_path / "a.png", tmp_path / "b.png")
    assert read.history == (Turn("user", "What is <image>?"), Turn("assistant", "a sum"))
    assert (read.prompt, read.text, read.more_answers) == ("And <image>?", "a product", ("p",))


def test_images_before_the_first_text_need_no_mark(tmp_path):
    read = parse_conversation(qwen("<image>\n<image>\nCompare", images=["a.png", "b.png"]), tmp_path)
    assert (len(read.images), read.prompt) == (2, "Compare")
    read = parse_conversation(qwen("Compare <image> with <image>", images=["a.png", "b.png"]), tmp_path)
    assert read.prompt == "Compare <image> with <image>"


def test_fields_of_no_meaning_are_kept(tmp_path):
    read = parse_conversation(qwen("a.png", level=3, domain="print"), tmp_path)
    assert (read.domain, read.extra) == ("print", {"level": 3})


def test_a_folder_has_a_file_for_each_split(tmp_path):
    for split in ("train", "test"):
        write_lines(tmp_path / f"{split}.jsonl", qwen("a.png", split))
    assert load_split(tmp_path, split="test").texts() == ["test"]
    with pytest.raises(DataError, match=r"no split 'validation', only test, train|only train, test"):
        load_split(tmp_path, split="validation")


def test_an_id_that_repeats_gets_the_rows_number(tmp_path):
    assert load_split(write_lines(tmp_path / "rows.jsonl", qwen("a.png"), qwen("a.png"))).ids() == ["r", "r#1"]


def test_conversations_have_no_subset(tmp_path):
    with pytest.raises(DataError, match=r"remove data.subset"):
        load_split(write_lines(tmp_path / "rows.jsonl", qwen("a.png")), subset="small")
