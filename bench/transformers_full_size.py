"""Times `transformers` on some prompts of a moexray trace, one after the other, with router hooks.

    transformers_full_size.py CHECKPOINT TRACE N_PROMPTS

TRACE was written by `moexray trace` with CHECKPOINT, grouped and uncompressed. N_PROMPTS of its prompts, evenly spaced, are
generated from the same token ids, greedily and to the same length; hooks on the routers keep the top-k experts of every
token. Prints a line of JSON: seconds (without loading and an uncounted first prompt), tokens, versions, and the share of the
prompt tokens' expert choices that agree with TRACE, which shows that both did the same work.
"""

import json
import pathlib
import resource
import sys
import time

import torch
import transformers


def read_prompts(trace, n_prompts):
    with open(trace / "prompts.jsonl", encoding="utf-8") as file:
        prompts = [json.loads(line) for line in file]
    n_prompts = min(n_prompts, len(prompts))
    return [prompts[i * len(prompts) // n_prompts] for i in range(n_prompts)]


def prompt_choices(trace, prompt):
    """The experts of the prompt's own tokens, {(layer, pos): set}."""
    with open(trace / prompt["events_file"], "rb") as file:
        file.seek(prompt["offset"])
        records = map(json.loads, file.read(prompt["n_bytes"]).splitlines())
        return {(r["layer"], r["pos"]): set(r["experts"]) for r in records if r["type"] == "prompt"}


def hook_routers(model, kept):
    """Appends to kept[layer] the [tokens, k] experts of every pass."""
    top_k = model.config.num_experts_per_tok

    def hook(layer):
        def keep(_module, _inputs, output):
            logits = output[0] if isinstance(output, tuple) else output
            kept[layer].append(torch.topk(logits.float().softmax(-1), top_k).indices)

        return keep

    for layer, block in enumerate(model.model.layers):
        kept.append([])
        block.mlp.gate.register_forward_hook(hook(layer))


def generate(model, prompt):
    ids = torch.tensor([prompt["token_ids"][: prompt["n_prompt_tokens"]]])
    n_new = prompt["n_generated_tokens"]
    with torch.inference_mode():
        return model.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, min_new_tokens=n_new, max_new_tokens=n_new
        )[0].tolist()


def count_agreeing(choices, kept):
    n_same = n = 0
    for (layer, pos), experts in choices.items():
        n_same += len(experts & set(kept[layer][0][pos].tolist()))
        n += len(experts)
    return n_same, n


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    checkpoint, trace, n_prompts = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3])
    start = time.perf_counter()
    model = transformers.AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.bfloat16).eval()
    load_seconds = time.perf_counter() - start
    kept = []
    hook_routers(model, kept)
    prompts = read_prompts(trace, n_prompts)
    generate(model, prompts[0])
    seconds = n_same = n_choices = 0
    for prompt in prompts:
        for passes in kept:
            passes.clear()
        start = time.perf_counter()
        generate(model, prompt)
        seconds += time.perf_counter() - start
        same, n = count_agreeing(prompt_choices(trace, prompt), kept)
        n_same, n_choices = n_same + same, n_choices + n
    result = {
        "seconds": round(seconds, 3),
        "n_prompts": len(prompts),
        "n_prompt_tokens": sum(p["n_prompt_tokens"] for p in prompts),
        "n_new_tokens": sum(p["n_generated_tokens"] for p in prompts),
        "load_seconds": round(load_seconds, 1),
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 1),
        "agreement_percent": round(100 * n_same / n_choices, 3),
        "experts": str(getattr(model.config, "_experts_implementation", "its own")),
        "versions": f"transformers {transformers.__version__} with torch {torch.__version__}",
    }
    print(json.dumps(result))


main()
