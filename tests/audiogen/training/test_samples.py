import numpy as np
import pytest
import torch

from audiogen.training.samples import picture

from .conftest import CODEC, LM, Starter, run_folder

SAMPLES = "samples={_target_: audiogen.training.samples.RoundTrips, every: 2, count: 2}"
STEPS = ["trainer.max_steps=4", "trainer.val_check_interval=2"]


def test_picture_shows_a_tone_at_its_height():
    tone = torch.sin(2 * torch.pi * 2000 * torch.arange(16000) / 16000)[None]
    image = picture(tone, 16000)
    assert image.dtype == np.uint8
    assert image.shape[0] == 257
    brightest = image.astype(int).sum(axis=(1, 2)).argmax()
    assert brightest == 256 - 2000 // (8000 // 256)  # low frequencies are below
    assert picture(torch.zeros(1, 10), 16000).shape[2] == 3  # silence, and less than a window


def test_without_a_logger_for_sound_they_are_files(scripts: Starter, tmp_path):
    words = [*CODEC, *STEPS, SAMPLES, f"paths.runs={tmp_path}"]
    assert scripts.run("train_codec.py", *words) == 0, scripts.log.read_text()
    folder = run_folder(tmp_path) / "samples"
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.wav"))
    assert names == [
        "step-000000002/0-reference.wav",
        "step-000000002/0-roundtrip.wav",
        "step-000000002/1-reference.wav",
        "step-000000002/1-roundtrip.wav",
        "step-000000004/0-roundtrip.wav",
        "step-000000004/1-roundtrip.wav",
    ]
    assert all(path.with_suffix(".png").stat().st_size > 100 for path in folder.rglob("*.wav"))


def test_tensorboard_gets_sound_and_pictures(scripts: Starter, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    words = [*CODEC, *STEPS, SAMPLES, "logger=tensorboard", f"paths.runs={tmp_path}"]
    assert scripts.run("train_codec.py", *words) == 0, scripts.log.read_text()
    events = EventAccumulator(str(run_folder(tmp_path) / "tensorboard"))
    events.Reload()
    assert {"samples/0-reference", "samples/1-roundtrip"} <= set(events.Tags()["audio"])
    assert "spectrograms/0-roundtrip" in events.Tags()["images"]
    assert [event.step for event in events.Scalars("train/loss")] == [1, 2, 3, 4]


@pytest.mark.filterwarnings("ignore")
def test_wandb_offline_gets_sound_and_keeps_its_id(scripts: Starter, tmp_path):
    words = [*CODEC, *STEPS, SAMPLES, "logger=wandb", "logger.mode=offline"]
    assert scripts.run("train_codec.py", *words, f"paths.runs={tmp_path}") == 0, (
        scripts.log.read_text()
    )
    folder = run_folder(tmp_path)
    (wandb,) = (folder / "wandb").glob("offline-run-*")
    assert wandb.name.endswith(folder.name)  # the id of the page is the id of the run
    media = [path.name for path in (wandb / "files" / "media").rglob("*") if path.is_file()]
    assert sum(name.endswith(".wav") for name in media) == 6
    assert sum(name.endswith(".png") for name in media) == 6
    assert list(folder.glob("samples/*")) == []


def test_prompts_are_generated_with_the_codec_of_the_codes(scripts: Starter, tmp_path):
    from audiogen.checkpoint import load_codec

    words = [*CODEC, "trainer.max_steps=2", "trainer.val_check_interval=2"]
    export = [f"export_to={tmp_path}/codec", f"paths.runs={tmp_path}/codec_runs"]
    assert scripts.run("train_codec.py", *words, *export) == 0, scripts.log.read_text()
    fingerprint = load_codec(tmp_path / "codec").fingerprint()
    prompts = (
        "samples={_target_: audiogen.training.samples.Prompts, every: 2, duration: 0.2, "
        "prompts: ['A dog barks!', rain]}"
    )
    words = [*LM, *STEPS, prompts, "codec.codebook_size=16", f"codec_folder={tmp_path}/codec"]
    words += [f"+data.{part}.codec_hash={fingerprint}" for part in ("train", "valid")]
    words += [f"export_to={tmp_path}/model", f"paths.runs={tmp_path}/runs"]
    assert scripts.run("train_lm.py", *words) == 0, scripts.log.read_text()
    sounds = sorted(path.name for path in run_folder(tmp_path / "runs").rglob("samples/*/*.wav"))
    assert sounds == ["a-dog-barks.wav"] * 2 + ["rain.wav"] * 2
    words = ["generate.py", f"model={tmp_path}/model", f"out={tmp_path}/sounds", "duration=0.1"]
    (tmp_path / "captions.txt").write_text("rain\na dog\n")
    assert scripts.run(*words, f"captions={tmp_path}/captions.txt") == 0, scripts.log.read_text()
    assert len(list((tmp_path / "sounds").glob("*.wav"))) == 2
