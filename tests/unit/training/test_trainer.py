"""What `TexlensTrainer` relies on in transformers and accelerate; fails with a clear line when a release changes it."""

import inspect
from types import SimpleNamespace

import pytest
import torch
from accelerate.data_loader import BatchSamplerShard
from transformers import Trainer

from texlens.training.trainer import TexlensTrainer

OVERRIDDEN = {
    "_determine_best_metric": ["metrics", "trial"],
    "_get_output_dir": ["trial"],
    "_load_from_checkpoint": ["resume_from_checkpoint", "model"],
    "_load_optimizer_and_scheduler": ["checkpoint"],
    "_load_rng_state": ["checkpoint"],
    "_save": ["output_dir", "state_dict"],
    "_save_checkpoint": ["model", "trial"],
    "_save_optimizer_and_scheduler": ["output_dir"],
    "_save_rng_state": ["output_dir"],
    "compute_loss": ["model", "inputs", "return_outputs", "num_items_in_batch"],
    "create_optimizer": ["model"],
    "evaluate": ["eval_dataset", "ignore_keys", "metric_key_prefix"],
    "get_batch_samples": ["epoch_iterator", "num_batches", "device"],
    "save_model": ["output_dir", "_internal_call"],
    "training_step": ["model", "inputs", "num_items_in_batch"],
}
"""Methods of transformers.Trainer that we replace, with the parameters that we count on."""
CALLED = ("_wrap_model", "get_optimizer_cls_and_kwargs", "_prepare_inputs", "get_train_dataloader", "log")


@pytest.mark.parametrize("name", OVERRIDDEN)
def test_overridden_method_of_transformers_trainer_has_the_parameters_we_count_on(name):
    method = getattr(Trainer, name, None)
    assert method is not None, f"transformers.Trainer.{name} is gone: TexlensTrainer.{name} is never called"
    parameters = list(inspect.signature(method).parameters)[1:]
    assert parameters == OVERRIDDEN[name], f"transformers.Trainer.{name} takes {parameters} now: adapt TexlensTrainer"


@pytest.mark.parametrize("name", CALLED)
def test_method_of_transformers_trainer_that_we_call_exists(name):
    assert hasattr(Trainer, name), f"transformers.Trainer.{name} is gone: adapt TexlensTrainer"


def test_every_private_method_that_we_define_is_listed_or_our_own():
    """So that a new override is added to the list above."""
    overridden = {name for name in vars(TexlensTrainer) if hasattr(Trainer, name) and not name.startswith("__")}
    assert overridden - {"train", *CALLED} == set(OVERRIDDEN)


def test_accelerate_s_sampler_has_the_fields_that_undo_its_sharding():
    sampler = BatchSamplerShard([[0], [1]], num_processes=2, process_index=1)
    assert (sampler.num_processes, sampler.process_index, sampler.even_batches) == (2, 1, True)
    sampler.num_processes, sampler.process_index, sampler.even_batches = 1, 0, False
    assert list(sampler) == [[0], [1]]


def test_a_process_without_validation_rows_has_the_loss_of_the_others():
    context = SimpleNamespace(all_reduce=lambda sums: sums + torch.tensor([6.0, 4.0]), all_gather=lambda rows: [rows])
    stub = SimpleNamespace(
        _network=torch.nn.Linear(1, 1),
        args=SimpleNamespace(device="cpu"),
        _context=context,
        _batches_in_step=lambda dataset: iter(()),
        _report_rejected=lambda rows: None,
    )
    assert TexlensTrainer._validation_loss(stub, []) == 1.5
    assert stub._validation_batches == []
