import torch

from texlens.inference.engine.recurrent_states import RecurrentStates


def test_windows_have_the_model_s_type_and_states_are_float32():
    states = RecurrentStates((2, 6, 4, 3, 5, 7), 2, torch.bfloat16, torch.device("cpu"))
    window, state = states.read(1, torch.tensor([2, 0]))
    assert (window.shape, window.dtype) == ((2, 6, 3), torch.bfloat16)
    assert (state.shape, state.dtype) == ((2, 3, 5, 7), torch.float32)
    assert states.nbytes == 2 * 3 * (6 * 3 * 2 + 3 * 5 * 7 * 4)


def test_rows_are_written_to_their_slots_alone():
    states = RecurrentStates((1, 2, 3, 1, 1, 1), 2, torch.float32, torch.device("cpu"))
    states.write(0, torch.tensor([1]), torch.ones(1, 2, 2), torch.full((1, 1, 1, 1), 5.0))
    assert states.states_LSHXY.flatten().tolist() == [0, 5, 0]
    assert states.windows_LSCW[0, 1].all()
    assert not states.windows_LSCW[0, 0].any()
