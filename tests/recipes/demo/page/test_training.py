from recipes.demo.page.training import codec_section, lm_section


def test_sections(synthetic_run):
    codec = codec_section(synthetic_run)
    titles = [chart.title for chart in codec["charts"]]
    assert titles == ["loss", "mel", "commitment", "rms ratio", "codebook perplexity"]
    assert (codec["updates"], codec["finished"], codec["adversarial"]) == (20, True, False)
    lm = lm_section(synthetic_run)
    notes = {chart.title: chart.note for chart in lm["charts"]}
    words = "Last: true captions 3, captions of other clips 3.15, no captions 3.05"
    assert notes["validation, by caption"] == words
    assert {"loss", "training, each codebook", "validation, each codebook"} <= notes.keys()
