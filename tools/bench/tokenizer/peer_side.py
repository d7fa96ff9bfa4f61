"""Encodes a corpus once for each line that comes in; answers with milliseconds and the number of tokens as JSON."""

import base64
import json
import sys
import time

name, corpus, vocabulary = sys.argv[1:]
with open(corpus, encoding="utf-8") as file:
    texts = json.load(file)
if name == "tokenizers":
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(vocabulary)
    encode = lambda text: tokenizer.encode(text, add_special_tokens=False).ids
else:
    import tiktoken

    pattern = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    with open(vocabulary, "rb") as file:
        ranks = {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in file)}
    encode = tiktoken.Encoding("ranks", pat_str=pattern, mergeable_ranks=ranks, special_tokens={}).encode_ordinary

for line in sys.stdin:
    start = time.perf_counter()
    tokens = sum(len(encode(text)) for text in texts)
    print(json.dumps({"ms": 1000 * (time.perf_counter() - start), "tokens": tokens}), flush=True)
