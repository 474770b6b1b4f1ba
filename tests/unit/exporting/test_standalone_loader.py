"""A MoE-LoRA adapter loads in a process that can't import TexLens, with the same logits."""

import subprocess
import sys

import torch
from peft import PeftModel, get_peft_model

from tests.unit.exporting.conftest import write_base
from texlens.adapters.moe_lora import MoeLoraConfig
from texlens.exporting.standalone_loader import write_standalone_loader
from texlens.models.load import load_model

ELSEWHERE = """
import sys
sys.modules["texlens"] = None
sys.path.insert(0, sys.argv[2])
import torch
from transformers import AutoModelForImageTextToText
from load import load
model = load(AutoModelForImageTextToText.from_pretrained(sys.argv[1], dtype=torch.float32)).eval()
with torch.no_grad():
    torch.save(model(input_ids=torch.arange(5, 45)[None]).logits, sys.argv[3])
"""


def test_the_adapter_loads_with_its_standalone_loader(tmp_path):
    base, folder = write_base(tmp_path / "base", "qwen3_vl"), tmp_path / "adapter"
    config = MoeLoraConfig(r=2, lora_alpha=4, experts=3, target_modules=r".*language_model.*(q_proj|down_proj)")
    model = get_peft_model(load_model(base), config)
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if "moe_lora_" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(folder)
    write_standalone_loader(folder)

    command = [sys.executable, "-c", ELSEWHERE, str(base), str(folder), str(tmp_path / "logits.pt")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    with torch.no_grad():
        here = PeftModel.from_pretrained(load_model(base), folder).eval()(input_ids=torch.arange(5, 45)[None]).logits
        bare = load_model(base)(input_ids=torch.arange(5, 45)[None]).logits
    torch.testing.assert_close(torch.load(tmp_path / "logits.pt", weights_only=True), here, rtol=1e-4, atol=1e-4)
    assert (here - bare).abs().max() > 0.01
