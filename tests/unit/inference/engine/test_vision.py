"""Images of prompts."""

import numpy as np
import torch

from tests.fixtures.tiny_models import tiny_model
from tests.unit.inference.engine.conftest import prompts_of
from texlens.inference.engine.prompt_pack import build_prompt_pack
from texlens.models.packed.forward import pack_spec


def test_rows_that_share_a_prompt_share_its_image(samples):
    model, processor = tiny_model()
    first, second = prompts_of(processor, samples[:2])
    spec = pack_spec(model.config, processor)

    pack = build_prompt_pack([first, first, second], spec)
    once = build_prompt_pack([first, second], spec)

    assert torch.equal(pack.vision["patches"], once.vision["patches"])
    assert pack.token_ids.tolist() == [*first.input_ids, *first.input_ids, *second.input_ids]
    images = np.split(pack.feature_rows, np.flatnonzero(np.diff(pack.rows[pack.image_rows])) + 1)
    assert images[0].tolist() == images[1].tolist() != images[2].tolist()
    assert pack.last.tolist() == [len(first) - 1, 2 * len(first) - 1, 2 * len(first) + len(second) - 1]
