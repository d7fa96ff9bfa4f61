"""`transformers` on the same models; prints JSON.

make FOLDER SPEC        writes a randomly initialised Qwen2 model; prints its logits
logits FOLDER TOKENS    logits of the model in a folder, causal and with every position in sight of every other
convert FILE FOLDER     a safetensors file of float32 as bfloat16 and float16
tokens FOLDER TEXTS     ids of each of a JSON list of texts, by the tokenizer in a folder
again FOLDER TARGET     what is in a folder, loaded and saved
dream FOLDER TOKENS     logits of a folder of Dream's layout through the classes that its config.json leads to

Dream's classes live in repositories that are out of reach here. Its network is Qwen2's without the causal mask, so the
reference for it is Qwen2 with a mask that lets everything through.
"""

import json
import os
import sys

os.environ["HF_MODULES_CACHE"] = os.path.join(os.path.dirname(sys.argv[2]), "modules")  # read when transformers is imported

import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer, Qwen2Config, Qwen2ForCausalLM

torch.set_num_threads(1)
WIDE = {"dtype" if transformers.__version__ >= "5" else "torch_dtype": torch.float32}


def both(model, tokens):
    ids = torch.tensor([tokens])
    full = torch.zeros(1, 1, len(tokens), len(tokens))
    with torch.no_grad():
        return {"causal": model(ids).logits[0].tolist(), "full": model(ids, attention_mask=full).logits[0].tolist()}


def make(folder, spec):
    spec = json.loads(spec)
    torch.manual_seed(spec["seed"])
    config = Qwen2Config(**spec["config"])
    if spec["headDim"] is not None:
        config.head_dim = spec["headDim"]
    model = Qwen2ForCausalLM(config)
    for name, parameter in model.named_parameters():  # so that each bias and norm shows in the logits
        torch.nn.init.normal_(parameter, 1.0 if name.endswith("norm.weight") else 0.0, 0.2)
    model = model.to(getattr(torch, spec["dtype"]))
    model.save_pretrained(folder, max_shard_size=spec["shardSize"])
    return logits(folder, json.dumps(spec["tokens"]))  # read again: a narrowed model has narrowed rotations, too


def logits(folder, tokens):
    model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, **WIDE).eval()
    return {**both(model, json.loads(tokens)), "class": type(model).__name__}


def convert(path, folder):
    tensors = load_file(path)
    for dtype in ["bfloat16", "float16"]:
        save_file({name: tensor.to(getattr(torch, dtype)) for name, tensor in tensors.items()}, os.path.join(folder, dtype), metadata={"format": "pt"})
    return len(tensors)


def tokens(folder, texts):
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    with open(texts, encoding="utf-8") as file:
        ids = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in json.load(file)]
    return {"class": type(tokenizer).__name__, "ids": ids, "mask": tokenizer.mask_token_id, "end": tokenizer.eos_token_id}


def again(folder, target):
    AutoModelForCausalLM.from_pretrained(folder, local_files_only=True).save_pretrained(target)
    AutoTokenizer.from_pretrained(folder, local_files_only=True).save_pretrained(target)
    return sorted(os.listdir(target))


def dream(folder, tokens):
    model = AutoModel.from_pretrained(folder, trust_remote_code=True, local_files_only=True, **WIDE).eval()
    with torch.no_grad():
        full = model(torch.tensor([json.loads(tokens)])).logits[0]
    generation = model.generation_config
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True, local_files_only=True)
    names = {"mask": generation.mask_token_id, "pad": generation.pad_token_id, "end": generation.eos_token_id, "tokenizerMask": tokenizer.mask_token_id}
    return {"class": type(model).__name__, "full": full.tolist(), **names}


command, *args = sys.argv[1:]
print(json.dumps({"make": make, "logits": logits, "convert": convert, "tokens": tokens, "again": again, "dream": dream}[command](*args)))
