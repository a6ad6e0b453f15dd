"""A SAM with random weights, a thousand times smaller than the smallest published one."""

from __future__ import annotations

from pathlib import Path

import torch

SIDE = 64


def save_tiny_sam(folder: Path, seed: int = 0) -> Path:
    """Write its folder as transformers does: config.json and model.safetensors."""
    from transformers import SamConfig, SamModel
    from transformers.utils import logging

    torch.manual_seed(seed)
    shape = {"image_size": SIDE, "patch_size": 8}
    heads = {"num_attention_heads": 2, "mlp_dim": 16}
    vision = {"num_hidden_layers": 2, "output_channels": 8, "window_size": 4, "global_attn_indexes": [1]}
    config = SamConfig(
        vision_config={"hidden_size": 16, "num_pos_feats": 4, "initializer_range": 0.2, **vision, **shape, **heads},
        prompt_encoder_config={"hidden_size": 8, "mask_input_channels": 4, **shape},
        mask_decoder_config={"hidden_size": 8, "iou_head_hidden_dim": 8, **heads},
        initializer_range=0.3,
    )
    logging.disable_progress_bar()
    SamModel(config).save_pretrained(folder)
    return folder
