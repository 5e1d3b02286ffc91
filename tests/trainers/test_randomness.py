import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainers.randomness import generator, key, torch_randomness

parts = st.lists(st.integers() | st.text(), max_size=3)


def test_keys_never_change() -> None:
    """Stored studies resume with the numbers they began with: these values are forever."""
    assert key(0, "weights") == 1_406_681_370_743_322_726
    assert key(7, "dropout", 12, "backbone.dropouts.0") == 1_429_678_181_377_429_856


@given(st.integers(), parts)
def test_a_key_fits_a_signed_64_bit_tensor(seed: int, purpose: list[int | str]) -> None:
    value = key(seed, *purpose)
    assert 0 <= value < 2**63
    assert torch.tensor(value).item() == value


@given(st.integers(0, 100), parts, parts)
def test_other_purposes_have_other_keys(
    seed: int, one: list[int | str], other: list[int | str]
) -> None:
    if [str(part) for part in one] != [str(part) for part in other]:
        assert key(seed, *one) != key(seed, *other)


def test_purposes_do_not_run_together() -> None:
    assert len({key(1, "ab"), key(1, "a", "b"), key(1, "", "ab"), key(1), key(11)}) == 5


def test_a_numpy_number_is_a_number() -> None:
    assert key(int(np.int64(3)), np.int64(4)) == key(3, 4)  # type: ignore[arg-type] # on purpose


def test_a_generator_starts_from_its_key() -> None:
    numbers = [torch.rand(5, generator=generator(seed)) for seed in (key(1), key(1), key(2))]
    assert torch.equal(numbers[0], numbers[1])
    assert not torch.equal(numbers[0], numbers[2])


def test_torch_randomness_is_put_back() -> None:
    before = torch.get_rng_state()
    with torch_randomness(5):
        inside = torch.rand(3)
    assert torch.equal(torch.get_rng_state(), before)
    with torch_randomness(5):
        assert torch.equal(torch.rand(3), inside)


def test_torch_randomness_is_put_back_after_an_error() -> None:
    before = torch.get_rng_state()
    with pytest.raises(RuntimeError), torch_randomness(5):
        torch.rand(3) @ torch.rand(4)
    assert torch.equal(torch.get_rng_state(), before)
