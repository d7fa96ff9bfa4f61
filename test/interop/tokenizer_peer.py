"""Hugging Face's `tokenizers` on the same texts; prints JSON.

classes              kind of each code point (1 letter, 2 number, 3 white space, 0 else), and those that NFC changes
train TEXTS SIZE OUT learns a vocabulary from a JSON list of files, with Qwen2's pre-tokenizer
ranks RANKS OUT      a published vocabulary of ranks as a tokenizer of the same layout
digests TOKENIZER F  sha256 of the ids of each file
encode TOKENIZER F   ids of each of a JSON list of texts, added tokens recognised
tiktoken RANKS F     as `digests`, by tiktoken with the same pattern
"""

import base64
import hashlib
import json
import sys
import unicodedata

import numpy
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

PATTERN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
ADDED = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|beginoftext|>", "<|mask|>", "<|dlm_pad|>"]


def main(command, *args):
    print(json.dumps(globals()[command](*args)))


def text_of(path):
    with open(path, encoding="utf-8", newline="") as file:
        return file.read()


def listed(path):
    return json.loads(text_of(path))


def qwen2(model):
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(PATTERN), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def classes():
    points = [point for point in range(0x110000) if not 0xD800 <= point < 0xE000]
    kinds = [0] * 0x110000
    for kind, pattern in enumerate([r"\p{L}", r"\p{N}", r"\s"], start=1):
        removed = pre_tokenizers.Split(Regex(pattern), "removed")
        kept = set("".join(word for word, _ in removed.pre_tokenize_str("".join(map(chr, points)))))
        for point in points:
            if chr(point) not in kept:
                kinds[point] = kind
    nfc = normalizers.NFC()
    return {"kinds": kinds, "composed": {point: nfc.normalize_str(chr(point)) for point in points if nfc.normalize_str(chr(point)) != chr(point)}}


def train(texts, size, out):
    tokenizer = qwen2(models.BPE())
    trainer = trainers.BpeTrainer(vocab_size=int(size), initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator((text_of(path) for path in listed(texts)), trainer)
    tokenizer.add_special_tokens(ADDED)
    tokenizer.save(out)
    return json.loads(tokenizer.to_str())["model"]["merges"]


def read_ranks(path):
    with open(path, "rb") as file:
        return {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in file)}


def ranks(path, out):
    rank_of = read_ranks(path)
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    alphabet = {byte: chr(byte) for byte in printable}
    alphabet |= {byte: chr(0x100 + i) for i, byte in enumerate(byte for byte in range(256) if byte not in alphabet)}
    name = lambda token: "".join(alphabet[byte] for byte in token)
    merges = []
    for token in sorted((token for token in rank_of if len(token) > 1), key=rank_of.get):
        parts = [bytes([byte]) for byte in token]
        while len(parts) > 2:
            best = min(range(len(parts) - 1), key=lambda i: rank_of.get(parts[i] + parts[i + 1], float("inf")))
            parts[best : best + 2] = [parts[best] + parts[best + 1]]
        merges.append((name(parts[0]), name(parts[1])))
    tokenizer = qwen2(models.BPE(vocab={name(token): rank for token, rank in rank_of.items()}, merges=merges))
    tokenizer.add_special_tokens(ADDED)
    tokenizer.save(out)
    return len(merges)


def digest(ids):
    return hashlib.sha256(numpy.array(ids, dtype="<u4").tobytes()).hexdigest()


def digests(path, files):
    tokenizer = Tokenizer.from_file(path)
    return [digest(tokenizer.encode(text_of(file), add_special_tokens=False).ids) for file in listed(files)]


def encode(path, texts):
    tokenizer = Tokenizer.from_file(path)
    return [tokenizer.encode(text, add_special_tokens=False).ids for text in listed(texts)]


def tiktoken(path, files):
    import tiktoken as library

    encoding = library.Encoding("ranks", pat_str=PATTERN, mergeable_ranks=read_ranks(path), special_tokens={})
    return [digest(encoding.encode_ordinary(unicodedata.normalize("NFC", text_of(file)))) for file in listed(files)]


main(*sys.argv[1:])
