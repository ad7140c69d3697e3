"""Records what public implementations compute, for the tests beside this file.

    python3 -m venv venv && venv/bin/pip install numpy pandas scikit-learn matplotlib loguru tqdm pyyaml
    venv/bin/python tests/conformance/record.py --checkouts DIR        # writes tests/conformance/fixtures/*.json

DIR holds a checkout of each repository below, by the name of its last part. Every function called is theirs; nothing of
theirs is copied. Inputs are drawn here (seeded) and recorded beside the outputs, so the tests need neither Python nor the
checkouts. `--cases N` draws more of them, `--out DIR` writes elsewhere.

    withmartian/routerbench    cc67d10   evaluation/AIQ.py             hull, AIQ
    lm-sys/RouteLLM            0b64fda   routellm/evals/evaluate.py    APGR, CPT; benchmarks.py: thresholds, upper bound
    RouteWorks/RouterArena     4714a9a   router_evaluation/compute_scores.py
    somerstep/CARROT           2d47d1f   carrot/utils.py               sweep
    ynulihao/LLMRouterBench    0e267fb   baselines/aggregators.py      summary table

What had to be put right for the code to run at all is marked MENDED; no formula is touched.
"""

import argparse
import contextlib
import importlib.util
import io
import json
import subprocess
import sys
import tempfile
import types
from pathlib import Path

import loguru
import numpy as np
import pandas as pd


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkouts", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "fixtures")
    parser.add_argument("--cases", type=int, default=12, help="random cases of each kind")
    parser.add_argument("--seed", type=int, default=20_261_128)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    recorders = {
        "routerbench": routerbench,
        "RouteLLM": routellm,
        "RouterArena": routerarena,
        "CARROT": carrot,
        "LLMRouterBench": llmrouterbench,
    }
    for name, record in recorders.items():
        checkout = options.checkouts / name
        commit = subprocess.run(
            ["git", "-C", str(checkout), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
        rng = np.random.default_rng(options.seed)
        cases = record(checkout, rng, options.cases)
        fixture = {
            "implementation": name,
            "commit": commit,
            "command": f"record.py --cases {options.cases} --seed {options.seed}",
            "python": sys.version.split()[0],
            "numpy": np.__version__,
            "pandas": pd.__version__,
            "cases": cases,
        }
        path = options.out / f"{name.lower()}.json"
        path.write_text(json.dumps(fixture, indent=None, separators=(",", ":")) + "\n")
        print(f"{path}: {len(cases)} cases")


def module(path, name, stubs=()):
    """Loads one file as a module; `stubs` are imports of its that are not used here."""
    for stub in stubs:
        if stub not in sys.modules:
            sys.modules[stub] = types.ModuleType(stub)
    spec = importlib.util.spec_from_file_location(name, path)
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[name] = loaded
    spec.loader.exec_module(loaded)
    return loaded


def floats(values):
    return [float(v) for v in np.asarray(values).ravel()]


def routerbench(checkout, rng, n_cases):
    if not hasattr(np, "trapz"):
        np.trapz = np.trapezoid  # MENDED: removed from numpy 2
    aiq = module(checkout / "evaluation" / "AIQ.py", "routerbench_aiq")
    given = [
        [[(1, 0.5), (2, 0.9), (3, 0.8)]],
        [[(0.1, 0.3), (0.5, 0.35), (1, 0.7), (2, 0.72), (4, 0.71)]],
        [[(1, 0.5), (1, 0.6), (2, 0.7), (3, 0.9)]],
        [[(0.1, 0.3), (1, 0.7), (2, 0.8)], [(0.2, 0.4), (3, 0.85), (1.5, 0.75)]],
        [[(1, 0.2), (2, 0.9), (3, 0.9), (4, 0.5)]],
        [[(1, 0.5), (2, 0.5), (3, 0.5)]],
        [[(0, 0), (1, 0.1), (2, 0.9), (3, 1)]],
    ]
    for _ in range(n_cases):
        routers = []
        for _ in range(int(rng.integers(1, 4))):
            n = int(rng.integers(3, 14))
            # No equal costs: whether numpy's sort keeps their order depends on the machine.
            cost = np.unique(np.round(rng.gamma(2.0, 1.0, n), int(rng.integers(1, 6))))
            rng.shuffle(cost)
            n = len(cost)
            quality = np.round(np.clip(0.4 + 0.1 * cost + rng.normal(0, 0.1, n), 0, 1), 4)
            routers.append(list(zip(cost.tolist(), quality.tolist())))
        given.append(routers)
    cases = []
    for routers in given:
        frames = []
        for points in routers:
            frame = pd.DataFrame(points, columns=["total_cost", "performance"], dtype=float)
            frame["eval_name"] = "case"
            frames.append(frame)
        aiq.eval_name = "case"  # MENDED: a global that only exists when the file is run as a script
        try:
            values = floats(aiq.calc_AIQ(frames, plot_graph=False))
            hulls = [aiq.get_non_descreasing_convex_hull_of(f[["total_cost", "performance"]].values).tolist() for f in frames]
        except (IndexError, ValueError):
            values, hulls = None, None  # too few distinct costs
        cases.append({"routers": routers, "hulls": hulls, "aiq": values})
    return cases


def routellm(checkout, rng, n_cases):
    stubs = ["psutil", "pandarallel", "routellm", "routellm.controller", "routellm.evals", "routellm.evals.mmlu",
             "routellm.evals.mmlu.domains", "routellm.routers", "routellm.routers.routers", "routellm.evals.benchmarks"]
    for stub in stubs:
        sys.modules.setdefault(stub, types.ModuleType(stub))
    sys.modules["pandarallel"].pandarallel = None
    sys.modules["routellm.controller"].Controller = object
    sys.modules["routellm.routers.routers"].ROUTER_CLS = {}
    sys.modules["routellm.routers.routers"].Router = object
    sys.modules["routellm.evals.mmlu.domains"].ALL_MMLU_DOMAINS = []
    benchmarks = module(checkout / "routellm" / "evals" / "benchmarks.py", "routellm_benchmarks")
    for name in ("GSM8K", "MMLU", "MTBench"):
        setattr(sys.modules["routellm.evals.benchmarks"], name, getattr(benchmarks, name))
    evaluate = module(checkout / "routellm" / "evals" / "evaluate.py", "routellm_evaluate")
    printed = []
    evaluate.print = lambda *args: printed.append(args)
    pair = types.SimpleNamespace(strong="strong", weak="weak")
    cases = []
    for case in range(n_cases):
        n = int(rng.integers(20, 120))
        strong = rng.random(n) < 0.8
        weak = rng.random(n) < 0.55
        noise = rng.normal(0, 0.6, n)
        scores = np.round(0.5 + 0.2 * (strong.astype(float) - weak) + 0.2 * noise, 2 if case % 3 == 0 else 9)
        mmlu = benchmarks.MMLU.__new__(benchmarks.MMLU)
        mmlu.routed_pair = pair
        mmlu.all_data = pd.DataFrame({"prompt": [str(i) for i in range(n)], "strong": strong, "weak": weak})
        mmlu.cache = {"router": scores}
        mmlu.overwrite_cache = []
        record = {"scores": floats(scores), "strong": floats(strong), "weak": floats(weak)}
        record["optimal"] = [mmlu.get_optimal_accuracy(p / 100) / 100 for p in range(0, 101, 10)]
        try:
            rows = [
                {"method": "router", "threshold": float(t), "accuracy": float(a),
                 "strong_percentage": 100 * counts["strong"] / total}
                for t, a, counts, total in mmlu.evaluate(None, "router", 10, False)
            ]
        except ValueError:
            record["apgr"] = None  # duplicate quantiles
            cases.append(record)
            continue
        printed.clear()
        with tempfile.TemporaryDirectory() as out:
            evaluate.generate_results(pd.DataFrame(rows), mmlu, "MMLU", pair, out)
        metrics = printed[-1][1].iloc[0]
        evaluate.plt.close("all")
        record["apgr"] = float(metrics["APGR"])
        if not np.isfinite(record["apgr"]):
            continue  # both models are equally good: a division by zero
        record["cpt"] = [float(str(metrics[f"{p}% qual"]).rstrip("%")) / 100 for p in (20, 50, 80)]
        record["points"] = [[r["strong_percentage"] / 100, r["accuracy"] / 100] for r in rows]
        cases.append(record)
    return cases


def routerarena(checkout, rng, n_cases):
    arena = module(checkout / "router_evaluation" / "compute_scores.py", "routerarena_scores")
    cases = []
    with tempfile.TemporaryDirectory() as out:
        predictions = Path(out) / "router_inference" / "predictions"
        predictions.mkdir(parents=True)
        (Path(out) / "router_evaluation").mkdir()
        arena.__file__ = str(Path(out) / "router_evaluation" / "compute_scores.py")
        for _ in range(n_cases):
            n = int(rng.integers(5, 40))
            accuracy = np.round(rng.random(n), 3)
            cost = np.where(rng.random(n) < 0.1, 0.0, rng.lognormal(-8, 1.5, n))
            rows = [{"accuracy": float(a), "cost": float(c)} for a, c in zip(accuracy, cost)]
            (predictions / "router.json").write_text(json.dumps(rows))
            with contextlib.redirect_stdout(io.StringIO()):
                got = arena.compute_scores("router")
            cases.append({"accuracy": floats(accuracy), "cost": floats(cost), "mean_accuracy": got["accuracy"],
                          "cost_per_1000": got["avg_cost_per_1000"], "score": got["arena_score"]})
    for accuracy, cost in [(0.75, 0.01), (0.75, 100.0), (0.7, 1_000.0), (0.5, 0.0044), (0.5, 0.001), (0.6, 199.9)]:
        cases.append({"mean_accuracy": accuracy, "cost_per_1000": cost, "score": arena.compute_arena_score(cost, accuracy)})
    return cases


def carrot(checkout, rng, n_cases):
    sys.path.insert(0, str(checkout / "carrot"))
    utils = module(checkout / "carrot" / "utils.py", "carrot_utils")
    sys.path.pop(0)
    cases = []
    for case in range(n_cases):
        n, k = int(rng.integers(3, 25)), int(rng.integers(2, 6))
        price = rng.lognormal(-1, 1, k)
        scores = np.round(np.clip(rng.normal(0.6, 0.2, (n, k)), 0, 1), 1 if case % 3 == 0 else 6)
        cost = np.round(price * rng.lognormal(0, 0.3, (n, k)), 6)
        predicted = np.round(price * rng.lognormal(0, 0.1, (n, k)), 6)
        correct = (rng.random((n, k)) < scores).astype(float)
        mean_cost, mean_quality = utils.route(scores, cost, predicted, correct)
        every = list(range(0, 1_001, 50))
        cases.append({"n_models": k, "predicted_quality": floats(scores), "predicted_cost": floats(predicted),
                      "cost": floats(cost), "quality": floats(correct), "settings": every,
                      "mean_cost": floats(mean_cost[every]), "mean_quality": floats(mean_quality[every])})
    return cases


def llmrouterbench(checkout, rng, n_cases):
    package = types.ModuleType("llmrouterbench")
    package.__path__ = [str(checkout / "baselines")]
    sys.modules["llmrouterbench"] = package
    loguru.logger.remove()
    schema = module(checkout / "baselines" / "schema.py", "llmrouterbench.schema")
    aggregators = module(checkout / "baselines" / "aggregators.py", "llmrouterbench.aggregators")
    cases = []
    for _ in range(n_cases):
        n_datasets, k = int(rng.integers(1, 5)), int(rng.integers(2, 5))
        dataset, quality, cost, records = [], [], [], []
        for d in range(n_datasets):
            for index in range(int(rng.integers(2, 9))):
                dataset.append(d)
                partial = np.round(rng.random(k), 2) * (rng.random(k) < 0.2)
                q = np.maximum((rng.random(k) < 0.5).astype(float), partial)
                c = np.round(rng.lognormal(-6, 1, k), 8)
                quality.append(q)
                cost.append(c)
                for m in range(k):
                    records.append(schema.BaselineRecord(
                        dataset_id=f"d{d}", split="test", model_name=f"m{m}", record_index=index, origin_query="",
                        prompt="", prediction="", raw_output=None, ground_truth="", score=float(q[m]), prompt_tokens=0,
                        completion_tokens=0, cost=float(c[m])))
        performance, costs = aggregators.BaselineAggregator(records).to_summary_table()
        models = [f"m{m}" for m in range(k)]
        column = "Dataset-Avg"
        # Random is one draw of theirs and an expected value of ours: recorded for the note, compared by its mean only.
        cases.append({
            "n_models": k, "dataset": dataset, "quality": floats(quality), "cost": floats(cost),
            "model_quality": floats(performance.loc[models, column]), "model_cost": floats(costs.loc[models, "Dataset-Sum"]),
            "random": float(performance.loc["AVG", column]), "random_cost": float(costs.loc["AVG", "Dataset-Sum"]),
            "drawn_random": float(performance.loc["Random Router", column]),
            "max_expert": float(performance.loc["Max Expert", column]),
            "max_expert_cost": float(costs.loc["Max Expert", [f"d{d}/test" for d in range(n_datasets)]].sum()),
            "max_expert_cost_printed": float(costs.loc["Max Expert", "Dataset-Sum"]),
            "oracle": float(performance.loc["Oracle", column]), "oracle_cost": float(costs.loc["Oracle", "Dataset-Sum"]),
        })
    return cases


if __name__ == "__main__":
    main()
