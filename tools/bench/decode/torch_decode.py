"""The same network and decoding in PyTorch, driven over standard input and output.

First line in: the case as JSON. Then each line `run N` decodes N times and answers with the milliseconds as JSON.
"""

import json
import os
import resource
import sys
import time

case = json.loads(sys.stdin.readline())
os.environ["OMP_NUM_THREADS"] = str(case["threads"])

import numpy
import torch
import torch.nn.functional as F

torch.set_num_threads(case["threads"])
torch.manual_seed(1)
model = case["model"]
HIDDEN, HEADS, KV_HEADS, MASK = model["hiddenSize"], model["heads"], model["kvHeads"], model["maskId"]
WIDTH = HIDDEN // HEADS
BATCH, LENGTH, STEPS = case["batchSize"], case["canvasLength"], case["steps"]
DTYPE = torch.bfloat16 if case["dtype"] == "bf16" else torch.float32

flat = torch.from_numpy(numpy.fromfile(os.path.join(case["weights"], "weights.bin"), dtype=numpy.float32))
weights, offset = {}, 0
for name, shape in json.load(open(os.path.join(case["weights"], "weights.json"))):
    count = int(numpy.prod(shape))
    weights[name] = flat[offset : offset + count].view(shape).clone()
    offset += count
matrices = {name: value.to(DTYPE) for name, value in weights.items() if value.dim() > 1 or name.endswith("bias")}
embedding = weights["model.embed_tokens.weight"]
angles = torch.outer(torch.arange(LENGTH).float(), model["ropeTheta"] ** (-torch.arange(0, WIDTH, 2).float() / WIDTH))
COS, SIN = torch.cat((angles, angles), -1).cos(), torch.cat((angles, angles), -1).sin()
LAYERS = []
for layer in range(model["layers"]):
    name = lambda rest: f"model.layers.{layer}.{rest}"
    LAYERS.append(
        {
            "qkv": torch.cat([matrices[name(f"self_attn.{which}_proj.weight")] for which in "qkv"]),
            "qkv_bias": torch.cat([matrices[name(f"self_attn.{which}_proj.bias")] for which in "qkv"]),
            "o": matrices[name("self_attn.o_proj.weight")],
            "gate_up": torch.cat([matrices[name(f"mlp.{which}_proj.weight")] for which in ("gate", "up")]),
            "down": matrices[name("mlp.down_proj.weight")],
            "input_norm": weights[name("input_layernorm.weight")],
            "post_norm": weights[name("post_attention_layernorm.weight")],
        }
    )


def norm(hidden, scale):
    return F.rms_norm(hidden, (HIDDEN,), scale, model["normEpsilon"]).to(DTYPE)


def rotate(x):
    first, second = x.chunk(2, -1)
    return x * COS + torch.cat((-second, first), -1) * SIN


def body(tokens):
    hidden = F.embedding(tokens, embedding)
    for layer in LAYERS:
        projected = F.linear(norm(hidden, layer["input_norm"]), layer["qkv"], layer["qkv_bias"]).float()
        q, k, v = projected.split([HEADS * WIDTH, KV_HEADS * WIDTH, KV_HEADS * WIDTH], -1)
        q = rotate(q.view(BATCH, LENGTH, HEADS, WIDTH).transpose(1, 2)).to(DTYPE)
        k = rotate(k.view(BATCH, LENGTH, KV_HEADS, WIDTH).transpose(1, 2)).to(DTYPE)
        v = v.view(BATCH, LENGTH, KV_HEADS, WIDTH).transpose(1, 2).to(DTYPE)
        mixed = F.scaled_dot_product_attention(q, k, v, enable_gqa=HEADS != KV_HEADS)
        hidden = hidden + F.linear(mixed.transpose(1, 2).reshape(BATCH, LENGTH, HIDDEN), layer["o"]).float()
        gate, up = F.linear(norm(hidden, layer["post_norm"]), layer["gate_up"]).chunk(2, -1)
        hidden = hidden + F.linear(F.silu(gate) * up, layer["down"]).float()
    return hidden


forward = torch.compile(body) if case["mode"] == "compile" else body
HEAD, FINAL_NORM = matrices["model.embed_tokens.weight"], weights["model.norm.weight"]


@torch.inference_mode()
def decode():
    canvas = torch.full((BATCH, LENGTH), MASK)
    for row, prompt in enumerate(case["prompts"]):
        canvas[row, : len(prompt)] = torch.tensor(prompt)
    times = torch.linspace(1, 1e-3, STEPS + 1)
    is_open = canvas == MASK
    is_open[:, : len(case["prompts"][0])] = False
    for step in range(STEPS):
        rows = is_open.roll(-1, 1)  # the row before a position predicts it
        hidden = forward(canvas)[rows]
        logits = F.linear(norm(hidden, FINAL_NORM), HEAD).float()  # only open positions reach the head
        if case["temperature"] > 0:
            logits = logits / case["temperature"]
        probs = torch.softmax(logits, -1)
        if case["temperature"] > 0:
            chosen = torch.multinomial(probs, 1).squeeze(1)
        else:
            chosen = probs.argmax(-1)
        if case["algorithm"] == "entropy":
            sure = (probs * torch.log(probs + 1e-10)).sum(-1)
        else:
            sure = probs.gather(1, chosen[:, None]).squeeze(1)
        masked = int(is_open[0].sum())
        count = masked if step == STEPS - 1 else int(masked * (1 - times[step + 1] / times[step]))
        if count == 0:
            continue
        confidence = torch.full((BATCH, LENGTH), -torch.inf)
        confidence[is_open] = sure
        drawn = torch.full((BATCH, LENGTH), MASK)
        drawn[is_open] = chosen
        best = confidence.topk(count).indices
        canvas.scatter_(1, best, drawn.gather(1, best))
        is_open.scatter_(1, best, False)
    return canvas


print(json.dumps({"version": torch.__version__}), flush=True)
for line in sys.stdin:
    times, tokens = [], None
    for _ in range(int(line.split()[1])):
        start = time.perf_counter()
        tokens = decode()
        times.append(1000 * (time.perf_counter() - start))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"ms": times, "tokens": tokens.flatten().tolist(), "peakBytes": peak}), flush=True)
