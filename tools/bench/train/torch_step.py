"""The same network and training step in PyTorch, driven over standard input and output.

First line in: the case as JSON. Then each line `run N` makes N steps and answers with their milliseconds as JSON.
"""

import json
import os
import resource
import sys
import time

case = json.loads(sys.stdin.readline())
os.environ["OMP_NUM_THREADS"] = str(case["threads"])

import torch
import torch.nn.functional as F

torch.set_num_threads(case["threads"])
torch.manual_seed(1)
HIDDEN, INNER, LAYERS, HEADS, KV_HEADS = (case["architecture"][key] for key in ("hiddenSize", "intermediateSize", "layers", "heads", "kvHeads"))
VOCAB, WIDTH = case["vocabSize"], HIDDEN // HEADS
BATCH, LENGTH = case["batchSize"], case["canvasLength"]


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.q = torch.nn.Linear(HIDDEN, HEADS * WIDTH)
        self.k = torch.nn.Linear(HIDDEN, KV_HEADS * WIDTH)
        self.v = torch.nn.Linear(HIDDEN, KV_HEADS * WIDTH)
        self.o = torch.nn.Linear(HEADS * WIDTH, HIDDEN, bias=False)
        self.gate = torch.nn.Linear(HIDDEN, INNER, bias=False)
        self.up = torch.nn.Linear(HIDDEN, INNER, bias=False)
        self.down = torch.nn.Linear(INNER, HIDDEN, bias=False)
        self.input_norm = torch.nn.Parameter(torch.ones(HIDDEN))
        self.post_norm = torch.nn.Parameter(torch.ones(HIDDEN))

    def forward(self, hidden, cos, sin, rows=None):
        x = F.rms_norm(hidden, (HIDDEN,), self.input_norm, 1e-6)
        q = rotate(self.q(x).view(BATCH, LENGTH, HEADS, WIDTH).transpose(1, 2), cos, sin)
        k = rotate(self.k(x).view(BATCH, LENGTH, KV_HEADS, WIDTH).transpose(1, 2), cos, sin)
        v = self.v(x).view(BATCH, LENGTH, KV_HEADS, WIDTH).transpose(1, 2)
        mixed = F.scaled_dot_product_attention(q, k, v, enable_gqa=HEADS != KV_HEADS)
        mixed = mixed.transpose(1, 2).reshape(BATCH * LENGTH, HEADS * WIDTH)
        if rows is not None:
            hidden, mixed = hidden.index_select(0, rows), mixed.index_select(0, rows)
        hidden = hidden + self.o(mixed)
        x = F.rms_norm(hidden, (HIDDEN,), self.post_norm, 1e-6)
        return hidden + self.down(F.silu(self.gate(x)) * self.up(x))


def rotate(x, cos, sin):
    first, second = x.chunk(2, -1)
    return x * cos + torch.cat((-second, first), -1) * sin


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Parameter(torch.randn(VOCAB, HIDDEN) * 0.02)
        self.blocks = torch.nn.ModuleList(Block() for _ in range(LAYERS))
        self.norm = torch.nn.Parameter(torch.ones(HIDDEN))
        angles = torch.outer(torch.arange(LENGTH).float(), 10000.0 ** (-torch.arange(0, WIDTH, 2).float() / WIDTH))
        self.register_buffer("cos", torch.cat((angles, angles), -1).cos())
        self.register_buffer("sin", torch.cat((angles, angles), -1).sin())

    def forward(self, tokens, rows, targets, weights, maskable):
        hidden = F.embedding(tokens.view(-1), self.embedding)
        for block in self.blocks[:-1]:
            hidden = block(hidden, self.cos, self.sin)
        hidden = self.blocks[-1](hidden, self.cos, self.sin, rows)  # only masked rows go past the last attention
        logits = F.linear(F.rms_norm(hidden, (HIDDEN,), self.norm, 1e-6), self.embedding)
        return (F.cross_entropy(logits.float(), targets, reduction="none") * weights).sum() / maskable


net = Net()
matrices = [p for p in net.parameters() if p.dim() > 1]
vectors = [p for p in net.parameters() if p.dim() == 1]
groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
optimizer = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.95), fused=True)
forward = torch.compile(net) if case["variant"].endswith("compile") else net
feeds = {
    "tokens": torch.tensor(case["feeds"]["tokens"]).view(BATCH, LENGTH),
    "rows": torch.tensor(case["feeds"]["rows"]),
    "targets": torch.tensor(case["feeds"]["targets"]),
    "weights": torch.tensor(case["feeds"]["weights"], dtype=torch.float32),
    "maskable": float(case["feeds"]["maskableCount"]),
}


def step():
    with torch.autocast("cpu", torch.bfloat16, enabled=case["variant"].startswith("bf16")):
        loss = forward(**feeds)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    optimizer.step()
    return loss.item()


print(json.dumps({"version": torch.__version__, "parameters": sum(p.numel() for p in net.parameters())}), flush=True)
for line in sys.stdin:
    times, loss = [], 0.0
    for _ in range(int(line.split()[1])):
        start = time.perf_counter()
        loss = step()
        times.append(1000 * (time.perf_counter() - start))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"ms": times, "loss": loss, "peakBytes": peak}), flush=True)
