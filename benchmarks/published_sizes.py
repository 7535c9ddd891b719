"""The networks of Karlo and Kandinsky as they were published, each config with its source; without their weights."""

from typing import Any

Config = dict[str, Any]

# diffusers, scripts/convert_kakao_brain_unclip_to_diffusers.py: the configs that it gives to the networks.
CHANNELS: Config = {"block_out_channels": (320, 640, 960, 1280), "layers_per_block": 3}
DECODER: Config = {
    **CHANNELS,
    "resnet_time_scale_shift": "scale_shift",
    "sample_size": 64,
    "in_channels": 3,
    "out_channels": 6,
    "down_block_types": ("ResnetDownsampleBlock2D", *["SimpleCrossAttnDownBlock2D"] * 3),
    "up_block_types": (*["SimpleCrossAttnUpBlock2D"] * 3, "ResnetUpsampleBlock2D"),
    "mid_block_type": "UNetMidBlock2DSimpleCrossAttn",
    "cross_attention_dim": 1536,
    "attention_head_dim": 64,
    "class_embed_type": "identity",
}
UPSAMPLER: Config = {
    **CHANNELS,
    "sample_size": 256,
    "in_channels": 6,
    "out_channels": 3,
    "down_block_types": ["ResnetDownsampleBlock2D"] * 4,
    "up_block_types": ["ResnetUpsampleBlock2D"] * 4,
    "add_attention": False,
}

# The same script, at its end, where clip_sample and the range of 1 are UnCLIPScheduler's own: prediction_type,
# variance_type, clip_sample_range. It names no noise schedule, for in 2022 that scheduler had but one, the cosine.
SCHEDULERS = {
    "prior_scheduler": ("sample", "fixed_small_log", 5.0),
    "decoder_scheduler": ("epsilon", "learned_range", 1.0),
    "super_res_scheduler": ("epsilon", "fixed_small_log", 1.0),
}

# openai/clip-vit-large-patch14, config.json, whose text tower Karlo has.
TEXT: Config = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "max_position_embeddings": 77,
    "projection_dim": 768,
    "vocab_size": 49408,
}

# kandinsky-community/kandinsky-2-2-prior/prior, as the copy YiYiXu/kandinsky_prior_pokemon/prior says in full;
# Shaleen123/kandinsky-2.2-test/prior is the short file of 252 bytes that the original has.
PRIOR: Config = {"num_attention_heads": 32, "attention_head_dim": 64, "num_layers": 20, "num_embeddings": 77}
PRIOR22: Config = {**PRIOR, "embedding_dim": 1280, "additional_embeddings": 4}
# kandinsky-community/kandinsky-2-1-prior/prior; Karlo's is of the same size.
PRIOR21: Config = {**PRIOR, "embedding_dim": 768, "additional_embeddings": 4}

# diffusers, scripts/convert_kandinsky_to_diffusers.py (UNET_CONFIG; INPAINT_UNET_CONFIG differs in in_channels 9).
UNET21: Config = {
    "sample_size": 64,
    "in_channels": 4,
    "out_channels": 8,
    "down_block_types": ("ResnetDownsampleBlock2D", *["SimpleCrossAttnDownBlock2D"] * 3),
    "up_block_types": (*["SimpleCrossAttnUpBlock2D"] * 3, "ResnetUpsampleBlock2D"),
    "mid_block_type": "UNetMidBlock2DSimpleCrossAttn",
    "block_out_channels": (384, 768, 1152, 1536),
    "layers_per_block": 3,
    "cross_attention_dim": 768,
    "attention_head_dim": 64,
    "resnet_time_scale_shift": "scale_shift",
    "addition_embed_type": "text_image",
    "encoder_hid_dim": 1024,
    "encoder_hid_dim_type": "text_image_proj",
}
# kandinsky-community/kandinsky-2-2-decoder/unet, as the copies JVice/BAGM_kdsky_decoder_deep_1k/unet and
# AfhamAhmed1/fabric-design-kandinsky-2-2-decoder/unet say; that of -inpaint was not found, but for its size.
UNET22: Config = {
    **UNET21,
    "addition_embed_type": "image",
    "encoder_hid_dim": 1280,
    "encoder_hid_dim_type": "image_proj",
}

# kandinsky-community/kandinsky-2-2-decoder/movq, as AfhamAhmed1/fabric-design-kandinsky-2-2-decoder/movq says; the
# same in diffusers' conversion script (MOVQ_CONFIG) and ai-forever/Kandinsky-2, kandinsky2/configs.py (CONFIG_2_1).
MOVQ: Config = {
    "block_out_channels": (128, 256, 256, 512),
    "down_block_types": (*["DownEncoderBlock2D"] * 3, "AttnDownEncoderBlock2D"),
    "up_block_types": ("AttnUpDecoderBlock2D", *["UpDecoderBlock2D"] * 3),
    "latent_channels": 4,
    "layers_per_block": 2,
    "norm_num_groups": 32,
    "norm_type": "spatial",
    "num_vq_embeddings": 16384,
    "vq_embed_dim": 4,
}
# kandinsky-2-2-prior/text_encoder and image_encoder, as the copies aditya11997/test_prior/text_encoder and
# YiYiXu/kandinsky_prior_pokemon/image_encoder say.
TEXT22: Config = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_attention_heads": 20,
    "num_hidden_layers": 32,
    "max_position_embeddings": 77,
    "projection_dim": 1280,
    "hidden_act": "gelu",
    "vocab_size": 49408,
}
VISION22: Config = {
    "hidden_size": 1664,
    "intermediate_size": 8192,
    "num_attention_heads": 16,
    "num_hidden_layers": 48,
    "image_size": 224,
    "patch_size": 14,
    "projection_dim": 1280,
    "hidden_act": "gelu",
}
# kandinsky-community/kandinsky-2-2-decoder-inpaint/blob/main/scheduler/scheduler_config.json, and the same in
# kandinsky-2-2-decoder/blob/refs/pr/1; kandinsky-2-1/blob/main too, but for the class, DDIMScheduler. It names no
# variance_type, so that DDPMScheduler's own is taken, "fixed_small".
SCHEDULE22: Config = {
    "num_train_timesteps": 1000,
    "beta_schedule": "linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
    "prediction_type": "epsilon",
    "thresholding": False,
}
