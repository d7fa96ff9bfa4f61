"""What Dream's own file does as far as a folder is concerned: it loads the weights under Qwen2's names, sees every position, and reads
`generation_config.json` once more, which therefore must be there and name the mask."""

import torch
from transformers import GenerationConfig, Qwen2ForCausalLM

from .configuration_dream import DreamConfig


class DreamModel(Qwen2ForCausalLM):
    config_class = DreamConfig

    @classmethod
    def from_pretrained(cls, path, *args, **kwargs):
        model = super().from_pretrained(path, *args, **kwargs)
        model.generation_config = GenerationConfig.from_pretrained(path)
        return model

    def forward(self, input_ids, **_):
        length = input_ids.shape[1]
        return super().forward(input_ids, attention_mask=torch.zeros(1, 1, length, length))
