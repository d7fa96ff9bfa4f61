from transformers import Qwen2Config


class DreamConfig(Qwen2Config):
    model_type = "Dream"
