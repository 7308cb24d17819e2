"""Training from sounds is training from their codes; what cannot be trained on is refused."""

from functools import partial

import pytest
import torch

from audiogen.audio import write_audio
from audiogen.checkpoint import save_codec
from audiogen.codec.model import Codec
from audiogen.data.manifest import Clip, write_manifest
from audiogen.data.sounds import SoundDataset, collate_sounds
from audiogen.data.tokens import TokenDataset, TokenError, collate_tokens
from audiogen.encode import encode_manifest
from audiogen.lm.model import TokenLM
from audiogen.released import export_released
from audiogen.text.hashed import HashedEncoder
from audiogen.training.data import DataModule
from audiogen.training.lm_batches import FrozenCodec, encode_sounds
from audiogen.training.lm_checks import check_codes, check_length
from audiogen.training.lm_module import LMModule

from .conftest import CLOCK
from .test_lm_module import fit

RATE, SECONDS = 1600, 0.25
SHORT = 0.1  # s; the second clip of each split is shorter than a segment
CAPTIONS = ("rain on a roof", "a dog barks", "wind")


def build_codec():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Codec(
            sample_rate=RATE, num_filters=2, dimension=4, ratios=(4, 2), lstm_layers=1,
            num_codebooks=3, codebook_size=16, kmeans_init=False, init="scaled",
        ).eval()  # fmt: skip


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """A manifest of noise, the folder of its codes, and the folder of their codec."""
    folder = tmp_path_factory.mktemp("sounds")
    generator = torch.Generator().manual_seed(1)
    clips = []
    for split in ("train", "valid"):
        for number, caption in enumerate(CAPTIONS):
            path = folder / f"{split}{number}.wav"
            seconds = SHORT if number == 1 else SECONDS
            noise = torch.randn(1, round(seconds * RATE), generator=generator)
            write_audio(path, 0.3 * noise.clamp(-3, 3), RATE)
            clip = Clip(
                id=path.stem, path=path, start=0.0, duration=seconds, captions=(caption,),
                source="test", licence="CC0-1.0", split=split,
            )  # fmt: skip
            clips.append(clip)
    manifest = write_manifest(folder / "manifest.jsonl", clips)
    codec = build_codec()
    save_codec(codec, folder / "codec")
    sizes = {"segment_duration": SECONDS, "batch_size": 2, "shard_size": 100}
    encode_manifest(codec, manifest, folder / "tokens", **sizes, progress=False)
    return folder


def data_of(sounds, kind, *, batch_size=3, collate=None):
    if kind == "codes":
        make = partial(TokenDataset, sounds / "tokens", seed=1)
        collate = collate_tokens
    else:
        make = partial(
            SoundDataset, sounds / "manifest.jsonl", sample_rate=RATE, segment_duration=SECONDS,
            seed=1, sample_by="segment",
        )  # fmt: skip
        collate = collate or collate_sounds
    train, valid = partial(make, split="train"), partial(make, split="valid", fixed=True)
    return DataModule(train=train, valid=valid, batch_size=batch_size, collate=collate)


def make(sounds, *, lm=None, text=None, **changes):
    torch.manual_seed(0)
    sizes = {"num_codebooks": 3, "codebook_size": 16, "text_dim": 8, "delays": [0, 1, 2]}
    lm = TokenLM(**sizes | {"dim": 16, "num_layers": 1, "num_heads": 2} | (lm or {}))
    keywords = {
        "optimizer": partial(torch.optim.AdamW, lr=0.01),
        "condition_dropout": 0.2,
        "seed": 1,
        "codec_folder": str(sounds / "codec"),
    }
    text = text or HashedEncoder(dim=8, num_buckets=32, max_words=6)
    return LMModule(lm, text=text, **keywords | changes)


def rows_of(trainer):
    rows = trainer.loggers[0]._rows
    return [{k: v for k, v in row.items() if not k.startswith(CLOCK)} for row in rows]


def test_sounds_give_the_losses_of_their_codes(sounds, tmp_path):
    """To the last digit, short sounds and validation included; and the exported model is whole."""
    rows = {}
    for kind in ("codes", "sounds"):
        module = make(sounds)
        trainer = fit(module, tmp_path / kind, steps=4, data=data_of(sounds, kind))
        rows[kind] = rows_of(trainer)
        module.export(tmp_path / f"model of {kind}", card={"licence": "CC0-1.0"})
        assert not any("codec" in name for name in module.state_dict())
    assert rows["codes"] == rows["sounds"]
    assert len(rows["codes"]) == 4
    assert "val/loss" in rows["codes"][-1]
    files = [tmp_path / f"model of {kind}" / "config.json" for kind in rows]
    assert files[0].read_text() == files[1].read_text()


def test_silence_is_given_codes_on_request(sounds):
    """Without, they are those of `audiogen.encode`: 0 behind the end, and no target."""
    dataset = TokenDataset(sounds / "tokens", split="train", seed=1, fixed=True)
    expected = collate_tokens([dataset[i] for i in range(3)])
    items = SoundDataset(
        sounds / "manifest.jsonl", split="train", sample_rate=RATE, segment_duration=SECONDS,
        seed=1, fixed=True,
    )  # fmt: skip
    batch = collate_sounds([items[i] for i in range(3)])
    arguments = (build_codec(), batch["waveform"], batch["num_samples"])
    codes, mask = encode_sounds(*arguments)
    assert torch.equal(codes, expected["codes"])
    assert torch.equal(mask, expected["code_mask"])
    whole, everywhere = encode_sounds(*arguments, silence=True)
    assert everywhere.all()
    assert torch.equal(whole.where(mask, 0), codes)
    assert (whole[~mask] != 0).any()


def test_encoding_is_in_float32_and_of_one_batch_like_any_other(sounds):
    codec = FrozenCodec(str(sounds / "codec")).on(torch.device("cpu"))
    waveform = 0.3 * torch.randn(19, 1, 397, generator=torch.Generator().manual_seed(2))
    lengths = torch.full((19,), 397)
    codes, _ = encode_sounds(codec, waveform, lengths)
    with torch.autocast("cpu", torch.bfloat16):
        half, _ = encode_sounds(codec, waveform, lengths)
    alone = [encode_sounds(codec, one[None], lengths[:1])[0] for one in waveform]
    assert codes.shape == (19, 3, 50)
    assert torch.equal(half, codes)
    assert torch.equal(torch.cat(alone), codes)
    assert not any(p.requires_grad for p in codec.parameters())


def test_a_published_codec_is_known_by_its_codes_too(sounds, tmp_path):
    codec = Codec.from_pretrained(sounds / "codec")
    export_released(codec, tmp_path / "codec.bin")
    ours, theirs = FrozenCodec(str(sounds / "codec")), FrozenCodec(str(tmp_path / "codec.bin"))
    assert ours.fingerprint == theirs.fingerprint == codec.fingerprint()
    assert FrozenCodec(None).fingerprint is None
    with pytest.raises((ValueError, OSError), match="no-such-folder"):
        FrozenCodec(str(tmp_path / "no-such-folder")).fingerprint  # noqa: B018


def test_sounds_need_the_codec_of_their_codes(sounds, tmp_path):
    module = make(sounds, codec_folder=None)
    with pytest.raises(ValueError, match="needs the codec of the codes: give codec_folder="):
        fit(module, tmp_path, data=data_of(sounds, "sounds"))


def test_sounds_at_another_rate_are_refused(sounds, tmp_path):
    data = data_of(sounds, "sounds")
    data.setup("fit")
    data.train.sample_rate = 800
    with pytest.raises(ValueError, match=r"come at 800 Hz, their codec works at 1600"):
        fit(make(sounds), tmp_path, data=data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"codes": torch.full((2, 3, 4), 16)}, "from 16 to 16, the language model has .* 0 to 15"),
        ({"codes": torch.full((2, 3, 4), -1)}, "codes from -1 to -1"),
        ({"codes": torch.zeros(2, 4, 4, dtype=torch.long)}, r"expected codes .* \[B, 3, T\], got"),
        ({"code_mask": torch.zeros(2, 3, 4, dtype=torch.bool)}, "item 0 of the batch has no frame"),
    ],
)
def test_codes_that_no_model_could_learn_are_refused(change, message):
    batch = {
        "codes": torch.zeros(2, 3, 4, dtype=torch.long),
        "code_mask": torch.ones(2, 3, 4, dtype=torch.bool),
    }
    check_codes(batch, num_codebooks=3, codebook_size=16)
    with pytest.raises(TokenError, match=message):
        check_codes(batch | change, num_codebooks=3, codebook_size=16)


def test_a_batch_is_checked_before_it_is_trained_on(sounds, tmp_path):
    def spoil(items):
        batch = collate_tokens(items)
        return batch | {"codes": batch["codes"] + 8}

    data = data_of(sounds, "codes")
    data.collate = spoil
    with pytest.raises(TokenError, match="the batch holds codes from"):
        fit(make(sounds), tmp_path, data=data)


def test_segments_no_longer_than_a_delay():
    """The last frames of a delayed codebook are only trained with ``complete``."""
    sizes = {"num_codebooks": 2, "codebook_size": 8, "text_dim": 4}
    lm = TokenLM(**sizes, dim=8, num_layers=1, num_heads=2, delays=[0, 3])
    check_length(lm, 3, complete=True)
    check_length(lm, 4, complete=False)
    with pytest.raises(ValueError, match="segments of 3 frames leave codebook 1 without a target"):
        check_length(lm, 3, complete=False)


def test_segments_of_one_frame_train(sounds, tmp_path):
    def first_frame(items):
        batch = collate_tokens(items)
        return batch | {name: batch[name][..., :1] for name in ("codes", "code_mask")}

    data = data_of(sounds, "codes")
    data.collate = first_frame
    rows = rows_of(fit(make(sounds), tmp_path, data=data))
    assert 0 < float(rows[-1]["train/loss"]) < 10


@pytest.mark.parametrize("caption", [None, ""])
def test_a_batch_without_any_caption_trains_without_text(sounds, tmp_path, caption):
    """Its loss is the one without captions, and what would read text gets no gradient."""

    def silent(items):
        return collate_tokens([{**item, "caption": caption} for item in items])

    data = data_of(sounds, "codes")
    data.collate = silent
    module = make(sounds, optimizer=partial(torch.optim.SGD, lr=0.1))
    before = module.lm.text_projection.weight.clone()
    row = rows_of(fit(module, tmp_path, data=data))[-1]
    losses = [row[f"val/loss{kind}"] for kind in ("", "_no_captions", "_shuffled_captions")]
    assert len(set(losses)) == 1
    assert torch.equal(module.lm.text_projection.weight, before)
