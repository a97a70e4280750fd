#!/usr/bin/env python3
"""Makes the small checkpoints of tests/data/parity, one or more for each kind of model but OLMoE
(whose are made by make_model_fixtures.py), and what transformers computes with them.

    python3 scripts/make_family_fixtures.py tests/data/parity

Made with Python 3.11, torch 2.15.0, transformers 5.24.0, safetensors 0.8.0, on a CPU. Tests only read
the files.

Every variant is a directory in Hugging Face layout and an expected.safetensors as
make_model_fixtures.py describes it, with one more tensor for each prompt N:

    N.router_logits   F32 [layers, T, E]

Sizes are odd on purpose: 7 experts of which 3 are chosen, a vocabulary of 97, heads of a width that is
not hidden_size / heads, windows shorter than the prompts, an eps that matters. Each variant names the
settings that only it, or it too, covers. The reference is run once more with each of them ignored,
and its logits must differ by more than MIN_EFFECT: a model that ignores the setting fails its test.
The last run printed (largest difference of a logit):

    qwen3_moe: rms_norm_eps 0.27, norm_topk_prob 0.74, query norm 7.13, key norm 7.66, rope_theta
        8.08
    qwen3_moe_window: q bias 3.70, k bias 2.63, v bias 4.64, o bias 3.85, window 10.01, window + 1
        9.24, yarn 4.35, yarn amplitude 3.03, original_max_position_embeddings 1.13
    qwen2_moe: rms_norm_eps 1.00, q bias 8.74, k bias 3.66, v bias 9.49, norm_topk_prob 2.50, shared
        expert 9.65, shared gate 7.24, window 8.55, windows of even layers 7.27, max_window_layers
        5.10
    qwen2_moe_layer_types: norm_topk_prob 2.35, layer_types 9.19, truncate 6.50, beta_fast 6.78,
        beta_slow 7.18, mscale 8.02, mscale_all_dim 8.02
    mixtral: rms_norm_eps 0.70, window 10.03, window + 1 7.78, renormalised weights 1.70, llama3
        6.24, low_freq_factor 0.32, high_freq_factor 8.43, original_max_position_embeddings 4.69
    mixtral_linear: linear 10.96, theta 4.39
    granitemoe: rms_norm_eps 0.046, embedding_multiplier 9.49, logits_scaling 10.99,
        residual_multiplier 6.41, attention_multiplier 2.01, softmax after top-k 1.55
    granitemoe_fused: q bias 7.20, k bias 6.98, v bias 6.48, o bias 4.42, rope_theta 7.95,
        attention_multiplier 2.66
    granitemoeshared: shared expert 11.79, residual_multiplier 4.16
    granitemoeshared_fused: shared expert 8.81
    flex_olmo: rms_norm_eps 5.29, norm_topk_prob 0.027, norms after 7.30, query norm 8.04,
        rope_theta 7.84
    flex_olmo_fused: q bias 0.86, k bias 1.02, v bias 5.78, o bias 3.90, norm_topk_prob 0.096, theta
        1.12
"""

import argparse
import json
import shutil
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

import make_model_fixtures as common

MIN_EFFECT = 1e-2
MIN_BF16_AGREEMENT = 0.97

SIZES = dict(
    vocab_size=97, hidden_size=24, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
    num_experts_per_tok=3, max_position_embeddings=64, rms_norm_eps=0.03, pad_token_id=1,
    bos_token_id=2, eos_token_id=96)
QWEN = dict(SIZES, num_experts=7, moe_intermediate_size=8, intermediate_size=20)
QWEN2 = dict(QWEN, shared_expert_intermediate_size=14)
MIXTRAL = dict(SIZES, num_local_experts=7, intermediate_size=10)
GRANITE = dict(SIZES, num_local_experts=7, intermediate_size=10, attention_multiplier=0.3)
# Norms come last: what is normed is scaled by the weights, and only eps tells.
FLEX = dict(SIZES, num_experts=7, intermediate_size=10, rms_norm_eps=0.5)


def rope(kind="default", theta=10000.0, **more):
    return {"rope_parameters": {"rope_type": kind, "rope_theta": theta, **more}}


# What a reference that ignores a setting does: a change of its config, or of its modules.

def config(**values):
    return lambda settings: [setattr(settings, key, value) for key, value in values.items()]


def rope_without(*keys, **values):
    def change(settings):
        parameters = {k: v for k, v in settings.rope_parameters.items() if k not in keys}
        settings.rope_parameters = {**parameters, **values}
    return change


def modules(ending, hook):
    """Replaces what the modules whose names end so give."""
    def change(model):
        found = [m for name, m in model.named_modules() if name.endswith(ending)]
        assert found, ending
        for module in found:
            module.register_forward_hook(hook)
    return change


def zero(ending):
    def change(model):
        found = [p for name, p in model.named_parameters() if name.endswith(ending)]
        assert found, ending
        for parameter in found:
            parameter.data.zero_()
    return change


def no_norm(ending):
    return modules(ending, lambda _m, inputs, _out: inputs[0])


def probabilities_of_all(_module, _inputs, out):
    logits, _, chosen = out
    return logits, logits.float().softmax(-1).gather(-1, chosen), chosen


def norms_before(model):
    """Every norm of a layer before what it follows."""
    for layer in model.model.layers:
        pairs = ((layer.self_attn, layer.post_attention_layernorm),
                 (layer.mlp, layer.post_feedforward_layernorm))
        for branch, norm in pairs:
            def wrapped(*inputs, inner=branch.forward, own=norm.forward, **named):
                if "hidden_states" in named:
                    named["hidden_states"] = own(named["hidden_states"])
                else:
                    inputs = (own(inputs[0]), *inputs[1:])
                return inner(*inputs, **named)
            branch.forward = wrapped
        for _, norm in pairs:
            norm.register_forward_hook(lambda _m, inputs, _out: inputs[0])


IGNORE_EPS = {"rms_norm_eps": config(rms_norm_eps=1e-6)}
BIASES = {f"{name} bias": zero(f"{name}_proj.bias") for name in "qkv"}

# name: (model_type, config, stored dtype, config.json style, fused experts, settings and how a
# reference ignores each)
VARIANTS = {
    "qwen3_moe": (
        "qwen3_moe",
        dict(QWEN, head_dim=12, norm_topk_prob=True, mlp_only_layers=[0], **rope(theta=300.0)),
        "float32", 4, False,
        {**IGNORE_EPS, "norm_topk_prob": config(norm_topk_prob=False),
         "query norm": no_norm("q_norm"), "key norm": no_norm("k_norm"),
         "rope_theta": rope_without(rope_theta=10000.0)}),
    "qwen3_moe_window": (
        "qwen3_moe",
        dict(QWEN, head_dim=10, decoder_sparse_step=2, num_hidden_layers=4, attention_bias=True,
             use_sliding_window=True, sliding_window=5,
             **rope("yarn", 1e4, factor=4.0, original_max_position_embeddings=16)),
        "bfloat16", 5, True,
        {**BIASES, "o bias": zero("o_proj.bias"), "window": config(sliding_window=None),
         "window + 1": config(sliding_window=6), "yarn": rope_without(rope_type="default"),
         "yarn amplitude": rope_without(attention_factor=1.0),
         "original_max_position_embeddings": rope_without(original_max_position_embeddings=64)}),
    "qwen2_moe": (
        "qwen2_moe",
        dict(QWEN2, mlp_only_layers=[1], num_hidden_layers=4, use_sliding_window=True, sliding_window=4,
             max_window_layers=2, **rope(theta=500.0)),
        "bfloat16", 4, False,
        {**IGNORE_EPS, **BIASES, "norm_topk_prob": config(norm_topk_prob=True),
         "shared expert": modules("shared_expert", lambda _m, _i, out: 0 * out),
         "shared gate": modules("shared_expert_gate", lambda _m, _i, out: 0 * out + 100),
         "window": config(layer_types=["full_attention"] * 4),
         "windows of even layers": config(layer_types=["sliding_attention"] * 2 + ["full_attention"] * 2),
         "max_window_layers": config(layer_types=["sliding_attention", "full_attention"] * 2)}),
    "qwen2_moe_layer_types": (
        "qwen2_moe",
        dict(QWEN2, head_dim=8, qkv_bias=False, norm_topk_prob=True, use_sliding_window=True, sliding_window=3,
             layer_types=["full_attention", "sliding_attention", "full_attention"],
             **rope("yarn", 100.0, factor=8.0, truncate=False, beta_fast=4.0, beta_slow=0.5,
                    mscale=0.7, mscale_all_dim=1.3, original_max_position_embeddings=64)),
        "bfloat16", 5, True,
        {"norm_topk_prob": config(norm_topk_prob=False),
         "layer_types": config(layer_types=["sliding_attention", "full_attention", "sliding_attention"]),
         "truncate": rope_without("truncate"), "beta_fast": rope_without("beta_fast"),
         "beta_slow": rope_without("beta_slow"), "mscale": rope_without("mscale"),
         "mscale_all_dim": rope_without("mscale_all_dim")}),
    "mixtral": (
        "mixtral",
        dict(MIXTRAL, head_dim=12, sliding_window=5,
             **rope("llama3", 1e4, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                    original_max_position_embeddings=32)),
        "float32", 4, False,
        {**IGNORE_EPS, "window": config(sliding_window=None), "window + 1": config(sliding_window=6),
         "renormalised weights": modules("gate", probabilities_of_all),
         "llama3": rope_without(rope_type="default"),
         "low_freq_factor": rope_without(low_freq_factor=2.0),
         "high_freq_factor": rope_without(high_freq_factor=16.0),
         "original_max_position_embeddings": rope_without(original_max_position_embeddings=64)}),
    "mixtral_linear": (
        "mixtral", dict(MIXTRAL, num_key_value_heads=4, **rope("linear", 1e6, factor=4.0)),
        "bfloat16", 5, True,
        {"linear": rope_without(rope_type="default"), "theta": rope_without(rope_theta=10000.0)}),
    "granitemoe": (
        "granitemoe",
        dict(GRANITE, embedding_multiplier=3.0, logits_scaling=2.0, residual_multiplier=0.6,
             tie_word_embeddings=True, **rope()),
        "bfloat16", 4, False,
        {**IGNORE_EPS, "embedding_multiplier": config(embedding_multiplier=1.0),
         "logits_scaling": config(logits_scaling=1.0),
         "residual_multiplier": config(residual_multiplier=1.0),
         "attention_multiplier": config(attention_multiplier=6 ** -0.5),
         "softmax after top-k": modules("router", probabilities_of_all)}),
    "granitemoe_fused": (
        "granitemoe", dict(GRANITE, attention_bias=True, head_dim=8, **rope(theta=200.0)),
        "bfloat16", 5, True,
        {**BIASES, "o bias": zero("o_proj.bias"), "rope_theta": rope_without(rope_theta=10000.0),
         "attention_multiplier": config(attention_multiplier=8 ** -0.5)}),
    "granitemoeshared": (
        "granitemoeshared",
        dict(GRANITE, shared_intermediate_size=14, residual_multiplier=0.7, **rope()),
        "bfloat16", 4, False,
        {"shared expert": modules("shared_mlp", lambda _m, _i, out: 0 * out),
         "residual_multiplier": config(residual_multiplier=1.0)}),
    "granitemoeshared_fused": (
        "granitemoeshared", dict(GRANITE, shared_intermediate_size=10, num_hidden_layers=2, **rope()),
        "float32", 5, True,
        {"shared expert": modules("shared_mlp", lambda _m, _i, out: 0 * out)}),
    "flex_olmo": (
        "flex_olmo", dict(FLEX, norm_topk_prob=True, **rope(theta=400.0)), "float32", 4, False,
        {**IGNORE_EPS, "norm_topk_prob": config(norm_topk_prob=False), "norms after": norms_before,
         "query norm": no_norm("q_norm"), "rope_theta": rope_without(rope_theta=500000.0)}),
    "flex_olmo_fused": (
        "flex_olmo", dict(FLEX, attention_bias=True, num_hidden_layers=2, **rope(theta=5e5)), "bfloat16", 5, True,
        {**BIASES, "o bias": zero("o_proj.bias"), "norm_topk_prob": config(norm_topk_prob=True),
         "theta": rope_without(rope_theta=1e4)}),
}
# Keys that are left out of config.json, so that the defaults of the family are what counts.
LEFT_OUT = {"flex_olmo_fused": ["rope_parameters"], "mixtral_linear": ["tie_word_embeddings"]}


def draw_weights(model, seed):
    """Gives every parameter a spread at which all parts of the model matter in the logits."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        shape = parameter.shape
        if "norm" in name.split(".")[-2]:
            values = 0.6 + 0.8 * torch.rand(shape, generator=generator)
        elif name.endswith(".bias"):
            values = 0.4 * torch.randn(shape, generator=generator)
        else:
            scale = 1.0 if "embed_tokens" in name else 2.0 / shape[-1] ** 0.5
            values = scale * torch.randn(shape, generator=generator)
        parameter.data.copy_(values)


def write_config(directory, name, style, dtype):
    """save_pretrained writes config.json as transformers 5 does; style 4 is what older ones wrote."""
    path = directory / "config.json"
    values = json.loads(path.read_text())
    for key in LEFT_OUT.get(name, []):
        del values[key]
    if style == 4:
        parameters = values.pop("rope_parameters")
        values["rope_theta"] = parameters.pop("rope_theta")
        kind = parameters.pop("rope_type")
        values["rope_scaling"] = None if kind == "default" else {"type": kind, **parameters}
        values["torch_dtype"] = values.pop("dtype")
        values["transformers_version"] = "4.51.0"
        if values["model_type"] == "qwen3_moe":
            values["num_experts"] = values.pop("num_local_experts")
        values.pop("layer_types", None)
    path.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n")
    assert values["torch_dtype" if style == 4 else "dtype"] == dtype


def make(directory, name, seed):
    model_type, changes, dtype, style, fused, _ = VARIANTS[name]
    settings = AutoConfig.for_model(model_type, **changes)
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    model = AutoModelForCausalLM.from_config(settings).eval()
    draw_weights(model, seed)
    model.generation_config = GenerationConfig(eos_token_id=settings.eos_token_id,
                                               pad_token_id=settings.pad_token_id)
    model.to(getattr(torch, dtype)).save_pretrained(directory, save_original_format=not fused)
    for path in directory.iterdir():
        path.chmod(0o644)
    write_config(directory, name, style, dtype)
    generator = torch.Generator().manual_seed(1000 + seed)
    prompts = [torch.randint(3, settings.vocab_size - 1, (n,), generator=generator).tolist()
               for n in common.PROMPT_LENGTHS]
    tensors, gap = common.expectations(directory, prompts, {settings.eos_token_id})
    model = common.load(directory, torch.float32)
    for n in range(len(prompts)):
        _, routers = common.run(model, tokens_of(tensors, n))
        tensors[f"{n}.router_logits"] = torch.stack([r[0].float() for r in routers])
    return tensors, gap


def tokens_of(tensors, n):
    return torch.cat([tensors[f"{n}.prompt"], tensors[f"{n}.generated"][:-1]]).tolist()


def effect(directory, tensors, ignore):
    """The largest difference of a logit where a setting is ignored."""
    settings = AutoConfig.from_pretrained(directory)
    try:
        ignore(settings)
        acts_on_model = False
    except AttributeError:
        settings, acts_on_model = AutoConfig.from_pretrained(directory), True
    model = AutoModelForCausalLM.from_pretrained(
        directory, config=settings, dtype=torch.float32, attn_implementation="eager",
        experts_implementation="eager").eval()
    if acts_on_model:
        ignore(model)
    logits = common.run(model, tokens_of(tensors, 2))[0]
    return (logits - tensors["2.logits"]).abs().max().item()


def make_variant(directory, name):
    for seed in range(1, 400):
        tensors, gap = make(directory, name, seed)
        if gap < common.MIN_GAP or common.bf16_agreement(tensors) < MIN_BF16_AGREEMENT:
            continue
        metadata = {"seed": str(seed), "smallest_gap": f"{gap:.6f}",
                    "transformers": transformers.__version__, "torch": torch.__version__}
        save_file(tensors, directory / "expected.safetensors", metadata)
        return seed, gap, tensors
    raise SystemExit(f"{name}: no seed without close decisions")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--only", nargs="*", choices=VARIANTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    for name in options.only or VARIANTS:
        directory = options.output / name
        seed, gap, tensors = make_variant(directory, name)
        size = sum(path.stat().st_size for path in directory.iterdir())
        print(f"{name}: seed {seed}, smallest gap {gap:.5f}, largest logit "
              f"{tensors['2.logits'].abs().max():.1f}, experts that bfloat16 keeps "
              f"{common.bf16_agreement(tensors):.3f}, {size / 1000:.0f} kB", flush=True)
        for setting, ignore in VARIANTS[name][5].items():
            difference = effect(directory, tensors, ignore)
            print(f"    {setting} {difference:.3f}", flush=True)
            assert difference > MIN_EFFECT, (name, setting, difference)


if __name__ == "__main__":
    main()
