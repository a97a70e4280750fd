#!/usr/bin/env python3
"""Makes the small OLMoE checkpoints of tests/data/parity and what transformers computes with them.

    python3 scripts/make_model_fixtures.py tests/data/parity

Made with Python 3.11, torch 2.15.0, transformers 5.23.0, safetensors 0.8.0, on a CPU. Tests only read
the files.

Every variant is a directory in Hugging Face layout, as save_pretrained writes it (one tensor per expert
matrix), and an expected.safetensors with, for each prompt N (T = P + max(G - 1, 0) tokens: the P prompt
tokens and the G generated ones but the last):

    N.prompt      I64 [P]           token ids of the prompt
    N.generated   I64 [G]           greedy continuation, at most 8 tokens, an end-of-sequence token included
    N.logits      F32 [T, vocab]    of a pass over all T tokens
    N.experts     I64 [layers, T, k]   in router order, most probable first
    N.weights     F32 [layers, T, k]   as the model applies them
    N.experts_bf16  I64 [layers, T, k]  the same tokens, computed in bfloat16 by transformers

All but the last come from float32 arithmetic (eager attention, weights widened from what the file
holds). Weights are drawn so that no decision is close: seeds are tried until the smallest gap between
neighbouring router logits among ranks 1 to k+1, and between the two largest logits of a generated
token, is at least MIN_GAP.
"""

import argparse
import json
import shutil
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, GenerationConfig, OlmoeConfig, OlmoeForCausalLM

MIN_GAP = 4e-4
MAX_NEW_TOKENS = 8
PROMPT_LENGTHS = (1, 6, 17)

BASE = dict(
    vocab_size=96, hidden_size=32, intermediate_size=12, num_hidden_layers=2,
    num_attention_heads=4, num_key_value_heads=4, num_experts=8, num_experts_per_tok=2,
    max_position_embeddings=64, rms_norm_eps=1e-5, eos_token_id=95, pad_token_id=1,
    norm_topk_prob=False, tie_word_embeddings=False, clip_qkv=None,
    rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
)

# name: (changes to BASE, stored dtype, config.json style, what else)
VARIANTS = {
    "base": (dict(num_hidden_layers=3), "float32", 4, {}),
    "norm_topk_prob": (dict(norm_topk_prob=True, num_experts_per_tok=3), "float32", 4, {}),
    "grouped_query": (dict(num_key_value_heads=2), "float32", 4, {}),
    "multi_query": (dict(num_key_value_heads=1), "float32", 5, {}),
    "tied_embeddings": (dict(tie_word_embeddings=True), "float32", 4, {}),
    "clip_qkv": (dict(clip_qkv=0.75), "float32", 4, {}),
    "float16": (dict(), "float16", 4, {}),
    "bfloat16": (dict(num_hidden_layers=3), "bfloat16", 5, {}),
    "sharded": (dict(), "float32", 4, dict(shard_size="48KB")),
    "rope_and_eps": (dict(rms_norm_eps=0.05,
                          rope_parameters={"rope_type": "default", "rope_theta": 50.0}),
                     "float32", 4, {}),
    "odd_widths": (dict(hidden_size=36, num_attention_heads=3, num_key_value_heads=3,
                        intermediate_size=20, vocab_size=83, num_experts=7, eos_token_id=82),
                   "float32", 4, {}),
    "top_1": (dict(num_experts_per_tok=1), "float32", 4, {}),
    "top_all": (dict(num_experts_per_tok=8), "float32", 5, {}),
    "experts_256": (dict(hidden_size=16, num_attention_heads=2, num_key_value_heads=2,
                         intermediate_size=2, num_experts=256, num_experts_per_tok=8),
                    "bfloat16", 4, {}),
    "config_v5": (dict(rope_parameters={"rope_type": "default", "rope_theta": 300.0},
                       norm_topk_prob=True, num_experts_per_tok=4), "float32", 5, {}),
    "ends_early": (dict(), "float32", 4, dict(end_after=3)),
}


def draw_weights(model, seed):
    """Gives every parameter a spread at which all parts of the model matter in the logits."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        shape = parameter.shape
        if name.endswith("norm.weight"):
            values = 0.6 + 0.8 * torch.rand(shape, generator=generator)
        else:
            values = torch.randn(shape, generator=generator)
            if "embed_tokens" in name:
                scale = 1.0
            elif "mlp.gate.weight" in name:
                scale = 2.0 / shape[-1] ** 0.5
            elif "mlp.experts.down_proj" in name:
                scale = 6.0 / shape[-1] ** 0.5
            elif "o_proj" in name:
                scale = 1.5 / shape[-1] ** 0.5
            else:
                scale = 1.2 / shape[-1] ** 0.5
            values = values * scale
        parameter.data.copy_(values)


def load(directory, dtype):
    return AutoModelForCausalLM.from_pretrained(
        directory, dtype=dtype, attn_implementation="eager", experts_implementation="eager").eval()


@torch.no_grad()
def run(model, token_ids):
    """Logits [T, vocab], and per layer the router's logits, weights and experts."""
    routers = []
    hooks = [module.register_forward_hook(lambda _m, _i, out: routers.append(out))
             for module in model.modules() if type(module).__name__.endswith("TopKRouter")]
    logits = model(torch.tensor([token_ids]), use_cache=False).logits[0].float()
    for hook in hooks:
        hook.remove()
    return logits, routers


def greedy(model, prompt, eos_ids):
    generated, gap = [], float("inf")
    while len(generated) < MAX_NEW_TOKENS:
        logits, _ = run(model, prompt + generated)
        best = logits[-1].topk(2)
        gap = min(gap, (best.values[0] - best.values[1]).item())
        generated.append(best.indices[0].item())
        if generated[-1] in eos_ids:
            break
    return generated, gap


def check_against_generate(model, prompt, generated):
    """The loop above is what generate() does."""
    output = model.generate(torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt)).long(),
                            generation_config=model.generation_config,
                            max_new_tokens=MAX_NEW_TOKENS, do_sample=False)
    assert output[0, len(prompt):].tolist() == generated, (output, generated)


def router_gap(router_logits, top_k):
    ranked = router_logits.float().sort(descending=True).values
    n = min(top_k + 1, ranked.shape[-1])
    return (ranked[:, :n - 1] - ranked[:, 1:n]).min().item() if n > 1 else float("inf")


def expectations(directory, prompts, eos_ids):
    """The tensors of expected.safetensors and the smallest gap of any decision."""
    model, bf16_model = load(directory, torch.float32), load(directory, torch.bfloat16)
    top_k, tensors, gap = model.config.num_experts_per_tok, {}, float("inf")
    for n, prompt in enumerate(prompts):
        generated, logit_gap = greedy(model, prompt, eos_ids)
        check_against_generate(model, prompt, generated)
        tokens = prompt + generated[:-1]
        logits, routers = run(model, tokens)
        _, bf16_routers = run(bf16_model, tokens)
        gap = min([gap, logit_gap] + [router_gap(r[0], top_k) for r in routers])
        tensors[f"{n}.prompt"] = torch.tensor(prompt)
        tensors[f"{n}.generated"] = torch.tensor(generated)
        tensors[f"{n}.logits"] = logits.contiguous()
        tensors[f"{n}.experts"] = torch.stack([r[2] for r in routers])
        tensors[f"{n}.weights"] = torch.stack([r[1] for r in routers])
        tensors[f"{n}.experts_bf16"] = torch.stack([r[2] for r in bf16_routers])
    return tensors, gap


def write_config(directory, config, style, dtype):
    """save_pretrained writes config.json as transformers 5 does; style 4 is what older ones wrote."""
    path = directory / "config.json"
    values = json.loads(path.read_text())
    if style == 4:
        values["rope_theta"] = values.pop("rope_parameters")["rope_theta"]
        values["rope_scaling"] = None
        values["torch_dtype"] = values.pop("dtype")
        values["transformers_version"] = "4.47.1"
        del values["bos_token_id"]
    path.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n")
    assert values["torch_dtype" if style == 4 else "dtype"] == dtype


def make(directory, changes, dtype, style, extra, seed, eos_ids=None):
    """Writes one variant; returns its expectations and their smallest gap."""
    config = OlmoeConfig(**{**BASE, **changes})
    if eos_ids is None:
        eos_ids = [config.eos_token_id]
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    model = OlmoeForCausalLM(config).eval()
    draw_weights(model, seed)
    # The generation config has the last word about the end of a sequence.
    model.generation_config = GenerationConfig(
        eos_token_id=eos_ids if len(eos_ids) > 1 else eos_ids[0], pad_token_id=config.pad_token_id)
    model.to(getattr(torch, dtype)).save_pretrained(
        directory, max_shard_size=extra.get("shard_size", "1GB"))
    for path in directory.iterdir():
        path.chmod(0o644)
    write_config(directory, config, style, dtype)
    generator = torch.Generator().manual_seed(1000 + seed)
    prompts = [torch.randint(2, config.vocab_size - 1, (n,), generator=generator).tolist()
               for n in PROMPT_LENGTHS]
    return expectations(directory, prompts, set(eos_ids))


def make_variant(directory, changes, dtype, style, extra):
    for seed in range(1, 400):
        tensors, gap = make(directory, changes, dtype, style, extra, seed)
        if gap < MIN_GAP:
            continue
        if "end_after" in extra:
            n = extra["end_after"]
            last = tensors["2.generated"][n - 1].item()
            if last in tensors["2.generated"][:n - 1].tolist():
                continue
            # The second end-of-sequence id is one that prompt 1 reaches with its first token.
            first = tensors["1.generated"][0].item()
            tensors, gap = make(directory, changes, dtype, style, extra, seed, [last, first])
            assert len(tensors["2.generated"]) == n and len(tensors["1.generated"]) == 1
        assert gap >= MIN_GAP
        metadata = {"seed": str(seed), "smallest_gap": f"{gap:.6f}",
                    "transformers": transformers.__version__, "torch": torch.__version__}
        save_file(tensors, directory / "expected.safetensors", metadata)
        return seed, gap, tensors
    raise SystemExit(f"{directory.name}: no seed without close decisions")


def check_settings_matter(directory, changes, tensors):
    """A model that ignored a setting of the variant would be far from the expected logits."""
    ignored = {"norm_topk_prob", "clip_qkv", "rms_norm_eps", "rope_parameters"} & changes.keys()
    for key in ignored:
        config = OlmoeConfig.from_pretrained(directory)
        setattr(config, key, BASE[key])
        model = OlmoeForCausalLM.from_pretrained(
            directory, config=config, dtype=torch.float32, attn_implementation="eager").eval()
        tokens = torch.cat([tensors["2.prompt"], tensors["2.generated"][:-1]]).tolist()
        difference = (run(model, tokens)[0] - tensors["2.logits"]).abs().max().item()
        assert difference > 0.05, (directory.name, key, difference)


def bf16_agreement(tensors):
    """Share of the selected experts that bfloat16 arithmetic selects too."""
    same = total = 0
    for n in range(len(PROMPT_LENGTHS)):
        a, b = tensors[f"{n}.experts"], tensors[f"{n}.experts_bf16"]
        same += (a[..., :, None] == b[..., None, :]).any(-1).sum().item()
        total += a.numel()
    return same / total


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--only", nargs="*", choices=VARIANTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    for name, (changes, dtype, style, extra) in VARIANTS.items():
        if options.only and name not in options.only:
            continue
        seed, gap, tensors = make_variant(options.output / name, changes, dtype, style, extra)
        check_settings_matter(options.output / name, changes, tensors)
        size = sum(path.stat().st_size for path in (options.output / name).iterdir())
        lengths = [len(tensors[f"{n}.generated"]) for n in range(len(PROMPT_LENGTHS))]
        print(f"{name}: seed {seed}, smallest gap {gap:.5f}, generated {lengths}, "
              f"experts that bfloat16 keeps {bf16_agreement(tensors):.3f}, {size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
