"""Published results on the test sets, in percent, each with its source; shown beside ours, never mixed with them."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    system: str
    source: str
    values: Mapping[str, float]
    """By the name of the test set."""


def _crohme(y2014: float, y2016: float, y2019: float) -> dict[str, float]:
    return {"crohme-2014": y2014, "crohme-2016": y2016, "crohme-2019": y2019}


UNI_MUMER = "arXiv:2505.23566"
UNI_MUMER_MODELS = "github.com/BFlameSwift/Uni-MuMER, November 2026"
PUBLISHED = (
    Published("BTTR", "arXiv:2105.02412", _crohme(54.0, 52.3, 53.0)),
    Published("CoMER (6.4M)", "arXiv:2207.04410", _crohme(59.3, 59.8, 63.0)),
    Published("TAMER", "arXiv:2408.08578", _crohme(61.2, 60.3, 62.0)),
    Published("Qwen2.5-VL-3B, zero-shot", UNI_MUMER, _crohme(38.6, 37.8, 37.5)),
    Published("Qwen2.5-VL-3B, fine-tuned", UNI_MUMER, _crohme(72.6, 64.3, 69.1)),
    Published("Uni-MuMER 3B", UNI_MUMER, _crohme(82.1, 77.9, 79.2)),
    Published(
        "Uni-MuMER Qwen3-VL-2B",
        UNI_MUMER_MODELS,
        {**_crohme(83.3, 78.6, 79.4), "hme100k": 69.3, "mathwriting": 50.7, "im2latexv2": 77.1},
    ),
    Published("Uni-MuMER Qwen3-VL-4B", UNI_MUMER_MODELS, _crohme(82.4, 79.3, 79.0)),
    Published("Uni-MuMER Qwen3.5-2B", UNI_MUMER_MODELS, _crohme(84.0, 81.2, 80.2)),
    Published(
        "UniMERNet-B",
        "github.com/opendatalab/UniMERNet",
        {"unimer-spe": 99.1, "unimer-cpe": 96.0, "unimer-sce": 94.0, "unimer-hwe": 93.7},
    ),
    Published("Texo (20M)", "github.com/alephpi/Texo", {"unimer-spe": 95.8, "unimer-cpe": 82.5, "unimer-hwe": 90.2}),
)


def published_on(names: list[str]) -> list[Published]:
    """Those that name one of these test sets."""
    return [result for result in PUBLISHED if set(names) & set(result.values)]
