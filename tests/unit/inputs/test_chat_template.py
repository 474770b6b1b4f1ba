from dataclasses import replace

import pytest
from transformers import Qwen2Tokenizer

from tests.fixtures.tiny_tokenizer import FAMILY_TEMPLATES, tiny_tokenizer
from texlens.core.errors import DataError, ModelError
from texlens.data.sample import LazyImage, Sample, Turn
from texlens.inputs.chat_template import PromptStyle, answer_ids, conversation, prompt_ids

QUESTIONS = ["Transcribe the LaTeX of this image.", "请识别图中的公式。\n只输出 LaTeX", "", " \n x ", "a<b"]


def stock_ids(tokenizer, question, system, image_tokens):
    """As the stock processor does it: the template's text, its image token repeated, tokenized in one go."""
    messages = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}]
    if system is not None:
        messages.insert(0, {"role": "system", "content": [{"type": "text", "text": system}]})
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, enable_thinking=False)
    return tokenizer(text.replace("<|image_pad|>", "<|image_pad|>" * image_tokens))["input_ids"]


@pytest.mark.parametrize("family", FAMILY_TEMPLATES)
@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("system", [None, "", "You read formulas.", "你是公式识别助手"])
def test_prompts_are_those_of_the_stock_processor(family, question, system):
    tokenizer = tiny_tokenizer(family)
    ids = prompt_ids(tokenizer, prompt=question, system_prompt=system, image_tokens=5)
    assert ids == stock_ids(tokenizer, question, system, 5)


def test_a_prompt_in_full():
    tokenizer = tiny_tokenizer("qwen3_vl")
    ids = prompt_ids(tokenizer, prompt="Read", image_tokens=2)
    assert tokenizer.decode(ids) == (
        "<|im_start|>user\n<|vision_start|><|image_pad|><|image_pad|><|vision_end|>Read<|im_end|>\n<|im_start|>assistant\n"
    )


def test_a_template_that_thinks_gets_an_empty_block():
    tokenizer = tiny_tokenizer("qwen3_5")
    ids = prompt_ids(tokenizer, prompt="Read", image_tokens=1)
    assert tokenizer.decode(ids).endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")


def test_a_template_that_thinks_only_when_asked_does_not():
    """As the smallest checkpoints' templates are written."""
    tokenizer = tiny_tokenizer("qwen3_5")
    template = str(tokenizer.chat_template)
    never = "enable_thinking is defined and enable_thinking is false"
    assert never in template
    tokenizer.chat_template = template.replace(never, "not (enable_thinking is defined and enable_thinking is true)")
    ids = prompt_ids(tokenizer, prompt="Read", image_tokens=1)
    assert tokenizer.decode(ids).endswith("<think>\n\n</think>\n\n")


def test_qwen2_brings_its_own_system_prompt_and_qwen3_none():
    assert "helpful" in tiny_tokenizer("qwen2_vl").decode(
        prompt_ids(tiny_tokenizer("qwen2_vl"), prompt="Read", image_tokens=1)
    )
    assert "system" not in tiny_tokenizer("qwen3_vl").decode(
        prompt_ids(tiny_tokenizer("qwen3_vl"), prompt="Read", image_tokens=1)
    )


def test_an_answer_is_its_text_and_the_end_of_the_turn():
    tokenizer = tiny_tokenizer()
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert answer_ids(tokenizer, "x^2") == [*tokenizer("x^2")["input_ids"], end]
    assert tokenizer.decode(answer_ids(tokenizer, " \\frac{a}{b}\n")[:-1]) == " \\frac{a}{b}\n"


def test_prompt_and_answer_together_are_the_stock_conversation():
    tokenizer = tiny_tokenizer("qwen2_5_vl")
    token_ids = prompt_ids(tokenizer, prompt="Read", image_tokens=1) + answer_ids(tokenizer, "\\frac a b")
    messages = [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Read"}]},
        {"role": "assistant", "content": "\\frac a b"},
    ]
    assert tokenizer.decode(token_ids) + "\n" == tokenizer.apply_chat_template(messages, tokenize=False)


@pytest.mark.parametrize("text", ["", " ", "\n\t"])
def test_an_empty_answer_is_rejected(text):
    with pytest.raises(DataError, match="0 answer tokens; is 'text' empty"):
        answer_ids(tiny_tokenizer(), text)


@pytest.mark.parametrize("token", ["<|im_end|>", "<|image_pad|>", "<|endoftext|>"])
def test_a_text_that_spells_a_special_token_is_rejected(token):
    tokenizer = tiny_tokenizer()
    with pytest.raises(DataError, match="the answer holds the special token"):
        answer_ids(tokenizer, f"x {token}")
    with pytest.raises(DataError, match="the prompt holds the special token"):
        prompt_ids(tokenizer, prompt=f"Read {token}", image_tokens=1)
    with pytest.raises(DataError, match="the system prompt holds the special token"):
        prompt_ids(tokenizer, prompt="Read", system_prompt=token, image_tokens=1)


def test_a_template_without_a_place_for_the_image_is_rejected():
    tokenizer = tiny_tokenizer()
    prompt_ids(tokenizer, prompt="Read", image_tokens=1)
    tokenizer.chat_template = "{{ messages[0].role }}"
    with pytest.raises(ModelError, match="0 positions for 1 image"):
        prompt_ids(tokenizer, prompt="Read", image_tokens=1)
    tokenizer.chat_template = None
    with pytest.raises(ModelError, match="no chat template"):
        prompt_ids(tokenizer, prompt="Read", image_tokens=1)


def test_a_rows_own_prompt_and_system_go_first():
    image = LazyImage.from_bytes(b"")
    style = PromptStyle("Read", "S")
    assert style.of(Sample("0", image, "x")) == style
    assert style.of(Sample("0", image, "x", prompt="", system="T")) == PromptStyle("", "T")


def test_a_tokenizer_without_qwens_tokens_is_rejected():
    tokenizer = Qwen2Tokenizer(vocab={"x": 0, "<|endoftext|>": 1})
    with pytest.raises(ModelError, match=r"the tokenizer lacks <\|im_end\|>"):
        answer_ids(tokenizer, "x")


IMAGE = LazyImage.from_bytes(b"")


def talk(prompt=None, images=1, history=()):
    return Sample("a", IMAGE, "x", prompt=prompt, more_images=(IMAGE,) * (images - 1), history=history)


@pytest.mark.parametrize("family", FAMILY_TEMPLATES)
@pytest.mark.parametrize("system", [None, "You read formulas."])
def test_several_images_and_turns_are_those_of_the_stock_template(family, system):
    tokenizer = tiny_tokenizer(family)
    history = (
        Turn("user", "Is <image> a sum?"),
        Turn("assistant", "Yes, x"),
        Turn("user", "Why?"),
        Turn("assistant", "+"),
    )
    sample = talk("And <image><image>?", 3, history)
    passages = conversation(tokenizer, sample, PromptStyle("Read", system), [2, 1, 3])
    picture, text = {"type": "image"}, lambda content: {"type": "text", "text": content}
    messages = [
        *([{"role": "system", "content": [text(system)]}] if system else []),
        {"role": "user", "content": [text("Is "), picture, text(" a sum?")]},
        {"role": "assistant", "content": [text("Yes, x")]},
        {"role": "user", "content": [text("Why?")]},
        {"role": "assistant", "content": [text("+")]},
        {"role": "user", "content": [text("And "), picture, picture, text("?")]},
    ]
    stock = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, enable_thinking=False)
    counts = iter([2, 1, 3])
    before, *others = stock.split("<|image_pad|>")
    stock = before + "".join("<|image_pad|>" * next(counts) + other for other in others)
    assert [token for passage in passages for token in passage.ids] == tokenizer(stock)["input_ids"]
    answers = [tokenizer.decode(passage.ids) for passage in passages if passage.is_answer]
    assert answers == ["Yes, x<|im_end|>", "+<|im_end|>"]


def test_images_without_marks_stand_before_the_first_question():
    tokenizer = tiny_tokenizer("qwen3_vl")
    history = (Turn("user", "One?"), Turn("assistant", "y"))
    (first, _, second) = conversation(tokenizer, talk("Two?", 2, history), PromptStyle("Read"), [1, 1])
    keys = "<|vision_start|><|image_pad|><|vision_end|>"
    assert tokenizer.decode(first.ids) == f"<|im_start|>user\n{keys}{keys}One?<|im_end|>\n<|im_start|>assistant\n"
    assert tokenizer.decode(second.ids) == "\n<|im_start|>user\nTwo?<|im_end|>\n<|im_start|>assistant\n"


@pytest.mark.parametrize(
    ("sample", "reason"),
    [
        (talk("<image> or <image>?"), "1 images for 2 <image> placeholders"),
        (talk("Read", 1, (Turn("assistant", "y"),)), "earlier turns that don't alternate"),
        (talk("Read", 1, (Turn("user", "y"), Turn("assistant", ""))), "0 answer tokens"),
        (talk("Read", 1, (Turn("user", "<|im_end|>"), Turn("assistant", "x"))), "special token"),
    ],
)
def test_a_conversation_of_odd_form_is_rejected(sample, reason):
    with pytest.raises(DataError, match=reason):
        conversation(tiny_tokenizer(), sample, PromptStyle("Read"), [1])


def test_a_template_that_forgets_earlier_answers_is_rejected():
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = "{% for m in messages if m.role == 'user' %}<|image_pad|>{% endfor %}"
    with pytest.raises(ModelError, match="leaves out earlier answers"):
        conversation(tokenizer, talk("b", 1, (Turn("user", "a"), Turn("assistant", "x"))), PromptStyle("Read"), [1])


@pytest.mark.parametrize("family", FAMILY_TEMPLATES)
def test_a_system_turn_keeps_its_position_and_an_empty_system_prompt_is_empty(family):
    tokenizer = tiny_tokenizer(family)
    history = (Turn("user", "Read left"), Turn("assistant", "x"), Turn("system", "Answer in capitals"))
    sample = replace(talk("Again", 1, history), system="")
    ids = [
        token for span in conversation(tokenizer, sample, PromptStyle("Read", "of the run"), [1]) for token in span.ids
    ]
    assert tokenizer.decode(ids) == (
        "<|im_start|>system\n<|im_end|>\n"
        "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>Read left<|im_end|>\n"
        "<|im_start|>assistant\nx<|im_end|>\n"
        "<|im_start|>system\nAnswer in capitals<|im_end|>\n"
        "<|im_start|>user\nAgain<|im_end|>\n"
        "<|im_start|>assistant\n" + ("<think>\n\n</think>\n\n" if family.startswith("qwen3_5") else "")
    )


def test_an_answer_that_is_excluded_from_the_loss_is_no_answer_span():
    history = (Turn("user", "a"), Turn("assistant", "BAD", is_trained=False))
    spans = conversation(tiny_tokenizer(), talk("b", 1, history), PromptStyle("Read"), [1])
    assert [span.is_answer for span in spans] == [False, False, False]


def test_a_template_that_leaves_out_a_later_system_turn_is_rejected():
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = (
        "{% for m in messages if m.role != 'system' %}<|image_pad|>{{ m.content[0].text }}<|im_end|>{% endfor %}"
    )
    history = (Turn("user", "a"), Turn("assistant", "x"), Turn("system", "In capitals"))
    with pytest.raises(ModelError, match="leaves out a system turn"):
        conversation(tokenizer, talk("b", 1, history), PromptStyle("Read"), [1])
