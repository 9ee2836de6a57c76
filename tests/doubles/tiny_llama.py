"""Small random Llama checkpoints, and their forward pass written down token by token in double precision."""

import json

import numpy as np
from safetensors.numpy import save_file

SHAPE = {
    "model_type": "llama",
    "vocab_size": 50,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 128,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "tie_word_embeddings": True,
    "hidden_act": "silu",
    "eos_token_id": 3,
}


def write(folder, *, seed=0, sharpness=1.0, **changes):
    """Write a checkpoint with random weights; `sharpness` scales the embeddings, and so the logits."""
    shape = SHAPE | changes
    rng = np.random.default_rng(seed)
    hidden, inner, width = shape["hidden_size"], shape["intermediate_size"], shape["head_dim"]
    queries, keys = shape["num_attention_heads"] * width, shape["num_key_value_heads"] * width
    weights = {"model.embed_tokens.weight": sharpness * rng.normal(size=(shape["vocab_size"], hidden))}
    weights["model.norm.weight"] = rng.uniform(0.5, 1.5, hidden)
    if not shape["tie_word_embeddings"]:
        weights["lm_head.weight"] = sharpness * rng.normal(size=(shape["vocab_size"], hidden))
    for layer in range(shape["num_hidden_layers"]):
        start = f"model.layers.{layer}."
        matrices = {
            "self_attn.q_proj": (queries, hidden), "self_attn.k_proj": (keys, hidden),
            "self_attn.v_proj": (keys, hidden), "self_attn.o_proj": (hidden, queries),
            "mlp.gate_proj": (inner, hidden), "mlp.up_proj": (inner, hidden), "mlp.down_proj": (hidden, inner),
        }  # fmt: skip
        for name, size in matrices.items():
            weights[f"{start}{name}.weight"] = rng.normal(size=size) / np.sqrt(size[1])
        for name in ("input_layernorm", "post_attention_layernorm"):
            weights[f"{start}{name}.weight"] = rng.uniform(0.5, 1.5, hidden)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(shape | {"architectures": ["LlamaForCausalLM"]}))
    save_file({k: v.astype(np.float16) for k, v in weights.items()}, folder / "model.safetensors", {"format": "pt"})
    return folder


def reference_logits(folder, tokens):
    """Return the logits after each token, from the paper's formulas: no batch, no cache, no folding."""
    from safetensors.numpy import load_file

    shape = json.loads((folder / "config.json").read_text())
    weights = {k: v.astype(np.float64) for k, v in load_file(folder / "model.safetensors").items()}
    heads, groups, width = (shape[k] for k in ("num_attention_heads", "num_key_value_heads", "head_dim"))

    def norm(x, name):
        return x / np.sqrt((x**2).mean() + shape["rms_norm_eps"]) * weights[name]

    def rotate(x, place):
        angles = place * shape["rope_theta"] ** (-np.arange(0, width, 2) / width)
        turned = (x[: width // 2] + 1j * x[width // 2 :]) * np.exp(1j * angles)
        return np.concatenate([turned.real, turned.imag])

    states = [weights["model.embed_tokens.weight"][t] for t in tokens]
    for layer in range(shape["num_hidden_layers"]):
        start = f"model.layers.{layer}."
        normed = [norm(x, start + "input_layernorm.weight") for x in states]
        q, k, v = (
            [(weights[f"{start}self_attn.{n}_proj.weight"] @ x).reshape(-1, width) for x in normed] for n in "qkv"
        )
        for place in range(len(states)):
            found = []
            for head in range(heads):
                group = head // (heads // groups)
                query = rotate(q[place][head], place)
                scores = [query @ rotate(k[p][group], p) / np.sqrt(width) for p in range(place + 1)]
                shares = np.exp(scores) / np.exp(scores).sum()
                found.append(sum(share * v[p][group] for p, share in enumerate(shares)))
            x = states[place] + weights[start + "self_attn.o_proj.weight"] @ np.concatenate(found)
            normed_x = norm(x, start + "post_attention_layernorm.weight")
            gate = weights[start + "mlp.gate_proj.weight"] @ normed_x
            up = weights[start + "mlp.up_proj.weight"] @ normed_x
            states[place] = x + weights[start + "mlp.down_proj.weight"] @ (gate / (1 + np.exp(-gate)) * up)
    head = weights.get("lm_head.weight", weights["model.embed_tokens.weight"])
    return np.array([head @ norm(x, "model.norm.weight") for x in states])
