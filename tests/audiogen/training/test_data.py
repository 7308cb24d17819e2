from functools import partial
from itertools import chain

import pytest
import torch
from torch.utils.data import Dataset

from audiogen.data.tokens import collate_tokens
from audiogen.training.data import DataModule, EndlessLoader
from audiogen.training.random_data import RandomSounds, RandomTokens


class Numbers(Dataset):
    def __len__(self):
        return 10

    def __getitem__(self, index):
        return torch.tensor(index)


def module(**changes):
    keywords = {"train": Numbers, "valid": Numbers, "batch_size": 4} | changes
    data = DataModule(**keywords)
    data.setup("fit")
    return data


def test_the_stream_does_not_end_with_a_pass():
    loader = iter(module().train_dataloader())
    assert [next(loader).tolist() for _ in range(4)][-1] == [12, 13, 14, 15]


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_position_is_restored(workers):
    """A killed run goes on with the batch it would have had next, whatever workers had read."""
    loader = module(num_workers=workers).train_dataloader()
    stream = iter(loader)
    assert [next(stream).tolist() for _ in range(5)][-1] == [16, 17, 18, 19]
    again = module(num_workers=workers).train_dataloader()
    again.load_state_dict(loader.state_dict())
    rest = iter(again)
    assert [next(rest).tolist() for _ in range(2)] == [next(stream).tolist() for _ in range(2)]


@pytest.mark.parametrize(("before", "after"), [(0, 1), (2, 0), (2, 1)])
def test_another_number_of_workers_is_refused_with_the_right_one(before, after):
    loader = module(num_workers=before).train_dataloader()
    next(iter(loader))
    again = module(num_workers=after).train_dataloader()
    with pytest.raises(ValueError, match=f"go on with data.num_workers={before}"):
        again.load_state_dict(loader.state_dict())


def test_the_position_of_the_first_rank_serves_all():
    keywords = {"batch_size": 2, "world_size": 2, "num_workers": 0}
    first = EndlessLoader(Numbers(), rank=0, **keywords)
    stream = iter(first)
    for _ in range(3):
        next(stream)
    for rank in (0, 1):
        loader = EndlessLoader(Numbers(), rank=rank, **keywords)
        loader.load_state_dict(first.state_dict())
        assert next(iter(loader)).tolist() == [12 + rank, 14 + rank]


def test_loading_draws_nothing_from_the_global_stream():
    torch.manual_seed(1)
    expected = torch.rand(())
    torch.manual_seed(1)
    data = module()
    next(iter(data.train_dataloader()))
    next(iter(data.val_dataloader()))
    assert torch.rand(()) == expected


def test_validation_is_in_order_and_whole():
    batches = [batch.tolist() for batch in module(valid_batch_size=3).val_dataloader()]
    assert list(chain(*batches)) == list(range(10))


def test_epochs_are_passes():
    assert [module().epoch(batches) for batches in (0, 2, 3, 5)] == [0, 0, 1, 2]


def test_first_batches_are_outside_of_the_stream():
    data = module()
    loader = iter(data.train_dataloader())
    assert [batch.tolist() for batch in data.first_batches(6)] == [[0, 1, 2, 3], [4, 5]]
    assert data.first_valid(2).tolist() == [0, 1]
    assert next(loader).tolist() == [0, 1, 2, 3]


def test_random_items_are_functions_of_seed_and_number():
    sounds = partial(RandomSounds, num_items=4, sample_rate=100, segment_duration=0.5, channels=2)
    first = sounds(seed=1)[7]["waveform"]
    assert first.shape == (2, 50)
    assert torch.equal(first, sounds(seed=1)[7]["waveform"])
    assert not torch.equal(first, sounds(seed=2)[7]["waveform"])
    assert first.abs().max() <= 0.5
    tokens = RandomTokens(num_items=8, num_codebooks=2, codebook_size=8, num_frames=5, seed=1)
    batch = collate_tokens([tokens[index] for index in range(8)])
    assert batch["codes"].shape == (8, 2, 5)
    assert batch["captions"][1] == batch["captions"][5]
    assert batch["codes"][1].min() >= 2
    assert batch["codes"][1].max() <= 3  # the second quarter of eight codes


def test_impossible_sizes_are_refused():
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        module(batch_size=0)
    with pytest.raises(ValueError, match="codebook_size must be at least 4, got 2"):
        RandomTokens(num_items=1, num_codebooks=1, codebook_size=2, num_frames=1, seed=1)
