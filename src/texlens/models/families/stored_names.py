"""Names of a checkpoint's tensors as those of the model's parameters."""

import re


def parameter_name(tensor_name: str) -> str:
    """The name in the model (transformers 5) of a checkpoint's tensor; older checkpoints leave a level out.

    Example:
        model.layers.0.mlp.up_proj.weight -> model.language_model.layers.0.mlp.up_proj.weight
        visual.patch_embed.proj.weight    -> model.visual.patch_embed.proj.weight
    """
    if tensor_name.startswith("visual."):
        return "model." + tensor_name
    if tensor_name.startswith("model.") and not re.match(r"model\.(language_model|visual)\.", tensor_name):
        return "model.language_model." + tensor_name.removeprefix("model.")
    return tensor_name
