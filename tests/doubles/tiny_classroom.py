"""Untrained models that read and write the classroom's layout."""

from tiny_llama import write
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

NAMES = [consonant + vowel for consonant in "bcdfghjklmnprstvwz" for vowel in "aeiou"]
VOCABULARY = ["<pad>", "<end>", *"QRAxyz0123456789+-*:=;", *NAMES]


def tokenizer():
    made = Tokenizer(models.WordLevel({token: number for number, token in enumerate(VOCABULARY)}, unk_token="<pad>"))
    made.normalizer = normalizers.Replace(Regex(r"\s+"), "")
    made.pre_tokenizer = pre_tokenizers.Split(Regex(r"<end>|[a-z]{2}|\S"), "isolated")
    spaced = [decoders.Replace("R", "R "), decoders.Replace("A", " A "), decoders.Replace("Q", "Q ")]
    made.decoder = decoders.Sequence([*spaced, decoders.Fuse()])
    made.add_special_tokens([AddedToken("<pad>"), AddedToken("<end>")])
    return made


def write_models(folder, **changes):
    """Write a teacher and two students; their weights are random, their logits sharp."""
    shape = {"vocab_size": len(VOCABULARY), "eos_token_id": 1, "max_position_embeddings": 96} | changes
    for seed, name in enumerate(("teacher", "student-a", "student-b")):
        tokenizer().save(str(write(folder / name, seed=seed, sharpness=0.4, **shape) / "tokenizer.json"))
    return folder
