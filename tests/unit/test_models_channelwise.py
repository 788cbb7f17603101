"""What is worked out for one device is, to the last bit, what is worked out for it among many."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.channelwise import summed, turned, turned_back
from models.scoring.roll import Roll


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**16), st.integers(1, 40), st.integers(1, 70))
def test_a_sum_over_channels_does_not_depend_on_its_company(
    seed: int, channels: int, devices: int
) -> None:
    rng = np.random.default_rng(seed)
    columns = (rng.normal(size=(channels, devices)) * 10.0 ** rng.integers(-6, 7)).astype(
        np.float32
    )
    whole = summed(columns)
    for device in range(devices):
        alone = np.ascontiguousarray(columns[:, device : device + 1])
        assert summed(alone).tobytes() == whole[device : device + 1].tobytes()
    assert np.allclose(whole, columns.sum(axis=0), rtol=1e-3, atol=1e-3 * np.abs(columns).max())


def test_numpy_would_take_another_order() -> None:
    """Shows why `summed` is not NumPy's own sum."""
    columns = np.random.default_rng(1).normal(size=(40, 300)).astype(np.float32)
    alone = [np.ascontiguousarray(columns[:, [i]]).sum(axis=0)[0] for i in range(300)]
    assert (columns.sum(axis=0) != alone).any()


def test_turning_back_undoes_turning() -> None:
    rows = np.arange(24.0).reshape(4, 3, 2)
    assert turned(rows).shape == (3, 2, 4)
    assert np.array_equal(turned(rows)[2, 1], rows[:, 2, 1])
    assert np.array_equal(turned_back(turned(rows)), rows)


def test_a_roll_gives_what_was_put_last_and_refuses_strangers() -> None:
    roll = Roll()
    with pytest.raises(KeyError):
        roll.at(np.array([1]))
    assert roll.at(np.zeros(0, np.int64)).tolist() == []
    roll.put(900, 3)
    roll.put(5, 1)
    assert roll.at(np.array([5, 900, 5])).tolist() == [1, 3, 1]
    roll.put(5, 2)
    assert roll.at(np.array([5])).tolist() == [2]
    for stranger in (4, 6, 901):
        with pytest.raises(KeyError, match=str(stranger)):
            roll.at(np.array([5, stranger]))
