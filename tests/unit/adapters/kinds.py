"""Kinds of adapters on tiny models."""

from texlens.config.adapter import ExpertSettings, GroupSettings, LoraSettings, MoeLoraSettings

ATTENTION = ("text-attention",)

KINDS = {
    "lora": LoraSettings(rank=4, targets=(*ATTENTION, "vision", "merger")),
    "groups": LoraSettings(
        rank=4,
        targets=ATTENTION,
        layers="1",
        vision=GroupSettings(rank=2, alpha=4, dropout=0.1, learning_rate=1e-5),
        merger="full",
        rslora=True,
        modules_to_save=("embed_tokens", "lm_head"),
    ),
    "dora": LoraSettings(rank=4, targets=(*ATTENTION, "vision"), dora=True),
    "orthogonal": LoraSettings(rank=4, targets=ATTENTION, init="orthogonal"),
    "moe-lora": MoeLoraSettings(kind="moe-lora", rank=2, targets=(*ATTENTION, "vision"), shared=True),
    "moe-lora top 1": MoeLoraSettings(kind="moe-lora", rank=2, experts=3, top_k=1, targets=ATTENTION),
}

EXPERTS = {
    "experts": LoraSettings(rank=2, targets=ATTENTION, experts="lora"),
    "experts of their own rank": LoraSettings(
        rank=2, targets=ATTENTION, experts=ExpertSettings(rank=3, alpha=9), rslora=True, layers="1"
    ),
}
