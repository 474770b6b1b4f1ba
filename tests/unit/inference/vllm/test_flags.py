from texlens.inference.vllm.flags import highest_rank, image_flags, lora_flags

LORA = {"peft_type": "LORA", "r": 16, "lora_alpha": 32}


def test_image_flags_name_the_budget_for_processor_and_vllm():
    assert image_flags(1024, 4096) == [
        "--limit-mm-per-prompt",
        '{"image": 1, "video": 0}',
        "--mm-processor-kwargs",
        '{"min_pixels": 1024, "max_pixels": 4096, "size": {"shortest_edge": 1024, "longest_edge": 4096}}',
    ]


def test_adapters_are_loaded_at_the_next_rank_that_vllm_supports():
    settings = [LORA, {**LORA, "rank_pattern": {"visual": 33}}]
    assert lora_flags({"one": "/a", "two": "/b"}, settings, tower=True) == [
        "--enable-lora",
        "--max-loras",
        "2",
        "--max-lora-rank",
        "64",
        "--enable-tower-connector-lora",
        "--lora-modules",
        "one=/a",
        "two=/b",
    ]
    assert highest_rank(settings[1]) == 33
