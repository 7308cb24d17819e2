"""Which module holds the network that a card calls by a name. No heavy imports."""

MODULES = {
    "clap": "evaluation.embedders.clap",
    "logmel": "evaluation.embedders.logmel",
    "msclap": "evaluation.embedders.msclap",
    "openl3": "evaluation.embedders.openl3",
    "panns": "evaluation.embedders.panns",
    "passt": "evaluation.embedders.passt",
    "vggish": "evaluation.embedders.vggish",
}
