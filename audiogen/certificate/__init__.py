"""Certificates of exports: same prompts, same seed, same codes before and after."""

from audiogen.certificate.check import certified, certify, certify_as
from audiogen.certificate.witness import (
    FRAMES,
    CertificateError,
    Witness,
    rounded_to,
    witness_codec,
    witness_model,
    witness_of,
)

__all__ = [
    "FRAMES",
    "CertificateError",
    "Witness",
    "certified",
    "certify",
    "certify_as",
    "rounded_to",
    "witness_codec",
    "witness_model",
    "witness_of",
]
