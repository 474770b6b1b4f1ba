"""Files with which a MoE-LoRA adapter loads without TexLens: its layers, and a loader."""

from pathlib import Path

from texlens.adapters import moe_lora
from texlens.core.files import write_text

FOLDER, LOADER = "moe_lora", "load.py"
_PACKAGE = "texlens.adapters.moe_lora"
_FILES = ("balance", "config", "layer", "model", "register")
_LOADER = '''"""Loads this MoE-LoRA adapter with PyTorch, transformers and PEFT alone.

    import sys
    sys.path.insert(0, "THIS FOLDER")
    from load import load

    model = load(AutoModelForImageTextToText.from_pretrained(BASE, dtype="auto"))
"""

from pathlib import Path

import moe_lora  # registers the method with PEFT
from peft import PeftModel


def load(model, folder=Path(__file__).parent):
    """Returns the base `model` with this adapter."""
    return PeftModel.from_pretrained(model, str(folder))
'''


def write_standalone_loader(folder: Path) -> None:
    """Writes `moe_lora/` and `load.py` into an adapter's folder."""
    source = Path(moe_lora.__file__).parent
    target = folder / FOLDER
    target.mkdir()
    for name in ("__init__", *_FILES):
        text = (source / f"{name}.py").read_text(encoding="utf-8")
        write_text(target / f"{name}.py", text.replace(f"from {_PACKAGE}.", "from ."))
    write_text(folder / LOADER, _LOADER)
