"""Folders of checkpoints."""

FILES = ("adapter_model.safetensors", "optimizer.safetensors", "random-0.json", "trainer_state.json")
