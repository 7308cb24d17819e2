"""Generate from exported folders as somebody would who has transformers, and nothing of ours.

    python transformers_only.py RESULT.npz REQUEST.json

REQUEST.json is a list of {"folder", "captions", "frames", "guidance"}; RESULT.npz gets ``codes_I``,
int64 [B, K, T], and ``sound_I``, float32 [B, C, samples], of request I. Run with ``-I``, so that
nothing beside the script is found, it also refuses to import audiogen.
"""

import json
import sys
from importlib.abc import MetaPathFinder
from pathlib import Path


class Blocked(MetaPathFinder):
    """Let nobody import audiogen, even where it is installed."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "audiogen":
            raise ImportError(f"{name} is not there")


def generate(request):
    """Return codes and sound."""
    from transformers import AutoProcessor, MusicgenForConditionalGeneration

    processor = AutoProcessor.from_pretrained(request["folder"])
    model, report = MusicgenForConditionalGeneration.from_pretrained(
        request["folder"], output_loading_info=True
    )
    assert not any(report.values()), report
    decode, seen = model.audio_encoder.decode, []

    def noting(codes, **keywords):
        seen.append(codes)
        return decode(codes, **keywords)

    model.audio_encoder.decode = noting
    if request["captions"] is None:
        inputs = model.get_unconditional_inputs(num_samples=1)
    else:
        inputs = processor(text=request["captions"], padding=True, return_tensors="pt")
        inputs = {**inputs, "guidance_scale": request["guidance"]}
    new = request["frames"] + model.decoder.num_codebooks - 1
    sound = model.generate(**inputs, do_sample=False, max_new_tokens=new)
    return seen[0][0].numpy(), sound.numpy()


if __name__ == "__main__":
    sys.meta_path.insert(0, Blocked())
    import numpy as np
    import torch

    torch.set_num_threads(1)
    results = {}
    requests = json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    for index, request in enumerate(requests):
        with torch.no_grad():
            results[f"codes_{index}"], results[f"sound_{index}"] = generate(request)
    assert not any(name.partition(".")[0] == "audiogen" for name in sys.modules)
    np.savez(sys.argv[1], **results)
