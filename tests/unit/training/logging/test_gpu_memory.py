from texlens.training.logging.gpu_memory import GpuMemory


def test_shares_are_of_the_gpu_s_memory():
    memory = GpuMemory(40.0, 10.0).after_training(30.0)["gpu_memory"]
    assert (memory["peak_gib"], memory["peak_share"]) == (30.0, 0.75)
    assert (memory["training_gib"], memory["training_share"]) == (20.0, 0.5)


def test_without_a_gpu_nothing_is_recorded():
    assert GpuMemory().after_training() == {}
