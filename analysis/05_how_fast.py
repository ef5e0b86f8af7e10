# ---
# jupyter:
#   make:
#     reads: ["benchmarks/results/*.json", "benchmarks/*.py"]
# ---

# %% [markdown]
# # How fast
#
# Embedding proteins and scoring variants is what one waits for.
# How fast is this book's engine, beside the code that most people use and beside what the machine could do at best?
# What does it cost in accuracy, how do time and memory grow, and is anything lost when a long job is killed?
#
# The timings were taken by `make bench` and lie in `benchmarks/results`; this page reads them, so they are of the
# machine named below and not of the one that built the page.
# One comparison, near the end, runs live.
#
# **Inputs.** `benchmarks/results/*.json`, `data/variants.parquet`.
#
# **Outputs.** `results/<profile>/how_fast.parquet`, `how_fast_agreement.parquet`, `how_fast_projection.parquet` there, and
# the table behind each figure.
#
# **Runtime.** Seconds; the benchmarks themselves and the three large jobs take much longer.

# %% tags=["parameters"]
profile = "embedded"  # names the folder of the results

# %%
import json
import subprocess
import sys

import pandas as pd
from IPython.display import Markdown, display

from plmbook import tables
from plmbook.book import figures, show, style
from plmbook.core import artifacts, paths
from plmbook.engine import cluster as cluster_engine

folder = paths.root() / "benchmarks" / "results"
NAMES = ("embedding", "scan", "growth", "precision", "million", "kill", "cluster", "go", "gpu")
measured = {name: json.loads(path.read_text()) for name in NAMES if (path := folder / f"{name}.json").is_file()}
embedding, scan, growth, precision = (measured[name] for name in NAMES[:4])


def spread(found: dict, digits: int = 1, unit: str = "") -> str:
    """A median and its range as text."""
    value, low, high = (f"{found[key]:,.{digits}f}" for key in ("median", "low", "high"))
    return f"{value}{unit} ({low} to {high})"


def not_measured(command: str) -> Markdown:
    """What stands where a result is not there."""
    return Markdown(f"**Not measured**: no result lies in the repository. `{command}` makes one.")


# %% [markdown]
# ## The machine and its limit
#
# A forward pass is matrix products, and a processor's rate for large matrix products is what no program can exceed.
# So the limit was measured in the same run, between the turns of the ways that are compared: a large square and the
# shape of the models' own linear maps that was fastest.
# The work of a forward pass is counted as $24\,l\,d^2 + 4\,l\,d\,L$ operations a residue, for $l$ layers of width $d$ and
# a protein of $L$ residues; padding, the two end tokens and the language-model head count as no work.

# %% tags=["hide-input"]
machine = embedding["machine"]
rates = {
    dtype: max(run["limit_gflop_per_second"][dtype] for run in embedding["runs"])
    for dtype in embedding["runs"][0]["limit_gflop_per_second"]
}
described = [
    ("processor", machine["processor"]),
    ("cores, threads of torch", f"{machine['cores']}, {machine['threads']}"),
    ("memory", machine["memory"]),
    ("instructions that torch uses", embedding["cpu_capability"]),
    ("torch", embedding["versions"]["torch"]),
    ("transformers", embedding["versions"]["transformers"]),
    ("fair-esm", embedding["versions"]["fair-esm"]),
    ("measured", f"{embedding['date']}, commit {embedding['commit']}"),
    *((f"matrix products, {dtype}", f"{rate:,.0f} GFLOP/s") for dtype, rate in rates.items()),
]
show.table(pd.DataFrame(described, columns=["the machine of the timings", ""]))
rehearsals = sorted(name for name, record in measured.items() if record.get("quick"))
if rehearsals:
    display(Markdown(f"**A rehearsal with quick settings, no result**: {', '.join(rehearsals)}."))

# %% [markdown]
# ## Three ways to embed
#
# The same weights and the same proteins (held-out families and the 53 genes, lengths spread as in all of them, fewer for
# the larger models) go through
#
# - **fair-esm**, the loop of its `extract.py`: sorted, padded batches of 4,096 tokens, the whole model with its head,
#   mean over the residues (writing a file for each protein is left out, in its favour);
# - **transformers**: `EsmModel` with fused attention (sdpa), sorted and padded likewise, no head;
# - **plmbook**: no padding, only the layers asked for, query, key and value in one product.
#
# The weights of ESM-2 are random, since speed depends on the architecture alone; norm scales and biases are drawn too,
# so that agreement means something.
# The ways run in processes of their own, which take turns; a ratio is taken within a turn, and the table gives the median
# and the range over the turns.
#
# One knob is outside of all of them: glibc gives large blocks of memory back to the system after each use, and takes
# them anew for the next layer.
# With thresholds that keep them (*tuned malloc*, three environment variables) each way gains differently, so ratios are
# given for both.

# %% tags=["hide-input"]
rows = []
for run in embedding["runs"]:
    raw = {(each["way"], each["dtype"], each["malloc"]): each for each in run["ways"]}
    for (way, dtype, malloc), each in raw.items():
        sdpa = raw["transformers", dtype, malloc]["seconds"]
        beside = pd.Series(sdpa) / pd.Series(each["seconds"])
        rows.append(
            {
                "model": run["model"],
                "parameters": run["parameters"],
                "proteins": run["proteins"],
                "residues": run["residues"],
                "gflop": run["gflop"],
                "way": way,
                "dtype": dtype,
                "malloc": malloc,
                **{f"rate_{key}": value for key, value in each["residues_per_second"].items()},
                **{f"share_{key}": value for key, value in each["share_of_limit"].items()},
                **{f"times_{key}": value for key, value in each["times_fair_esm"].items()},
                "times_transformers": beside.median(),
                "peak_mib": each["peak_mib"],
                **{key: each[key] for key in ("largest_difference", "smallest_cosine", "smallest_centred_cosine")},
            }
        )
speed = pd.DataFrame(rows)
artifacts.save(speed, "how_fast", profile)
shipped, tuned = (speed[speed["malloc"] == malloc].reset_index(drop=True) for malloc in ("default", "tuned"))


def times(table: pd.DataFrame) -> list[str]:
    columns = table[["times_median", "times_low", "times_high"]].set_axis(["median", "low", "high"], axis=1)
    return [spread(row) for row in columns.to_dict("records")]


ours = shipped["way"] == "plmbook"
by_size = pd.DataFrame(
    {
        "model": shipped["model"].map(style.label),
        "dtype": shipped["dtype"],
        "residues/s": shipped["rate_median"].round().astype(int),
        "times fair-esm": times(shipped),
        "tuned malloc": times(tuned),
        "times sdpa": [f"{value:.1f}" for value in shipped["times_transformers"]],
    }
)
show.table(
    by_size[ours],
    caption="plmbook: residues a second, and how many times faster than fair-esm in float32 (median and range over "
    "turns) and than transformers' sdpa in the same dtype (median); tuned malloc: both sides",
)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Residues a second of three ways to embed, by size of the model, with the limit of the machine"}}
limit = pd.DataFrame(
    {
        "parameters": run["parameters"],
        "way": style.LIMIT,
        "dtype": dtype,
        "rate_median": rate * run["residues"] / run["gflop"],
    }
    for run in embedding["runs"]
    for dtype, rate in run["limit_gflop_per_second"].items()
)
throughput = pd.concat([shipped, limit], ignore_index=True)[
    ["model", "parameters", "way", "dtype", "rate_median", "rate_low", "rate_high"]
].rename(columns={"rate_low": "low", "rate_high": "high"})
show.figure(
    figures.by_way(throughput, across="parameters", value="rate_median", x_axis="parameters", axis="residues a second"),
    throughput,
    "05_throughput",
    profile=profile,
    caption=f"Residues a second by size: `{embedding['runs'][0]['model']}` and ESM-2, whose weights are random; malloc as "
    "shipped. Dots: median over turns; whiskers: range. Dotted: all matrix products at the rate measured in the same run.",
)

# %% [markdown]
# ### How near to the limit
#
# Small models have narrow matrices and much around them: their share is smaller.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Share of the measured matrix-product rate that each way reaches, by size of the model"}}
share = shipped[["model", "parameters", "way", "dtype", "share_median", "share_low", "share_high"]].rename(
    columns={"share_low": "low", "share_high": "high"}
)
show.figure(
    figures.by_way(
        share,
        across="parameters",
        value="share_median",
        x_axis="parameters",
        axis="share of the measured limit",
        y_scale="linear",
    ),
    share,
    "05_share",
    profile=profile,
    caption="Share of the rate of matrix products in the same dtype that each way reaches; models, dots and whiskers as "
    "above. 1 is what the machine could do at best.",
)

# %% [markdown]
# ### What it costs in accuracy and memory
#
# Float32 should agree with fair-esm to rounding; bfloat16 has three significant digits and cannot.
# All embeddings of a model share a large mean, which makes every cosine close to 1.
# The *centred* cosine takes that mean off first and is the one to look at.
# *Peak* is all that a process with one way holds, Python and its libraries included.

# %% tags=["hide-input"]
columns = ["model", "way", "dtype", "largest_difference", "smallest_cosine", "smallest_centred_cosine", "peak_mib"]
artifacts.save(shipped[columns], "how_fast_agreement", profile)
text = pd.DataFrame(
    {
        "model": shipped["model"].map(style.label),
        "way": shipped["way"] + ", " + shipped["dtype"],
        "difference": [f"{value:.0e}" for value in shipped["largest_difference"]],
        "cosine": [f"{value:.6f}" for value in shipped["smallest_cosine"]],
        "centred": [f"{value:.4f}" for value in shipped["smallest_centred_cosine"]],
        "MiB": shipped["peak_mib"].round().astype(int),
    }
)
show.table(
    text,
    caption="Mean embeddings against fair-esm's in float32: largest difference, smallest cosine and centred cosine; "
    "and peak memory",
)

# %% [markdown]
# What that difference does to results of this book: the embedded models once in each dtype, on the matching ClinVar
# variants (wild-type marginals) and on proteins of DeepLoc.

# %% tags=["hide-input"]
release = f"ClinVar {tables.load('variants')['release'].iat[0]}"
texts = {}
for run in precision["runs"]:
    auroc, gap = run["auroc"], run["auroc_difference"]
    texts[run["model"]] = {
        f"AUROC in float32, {run['labelled_variants']:,} variants": f"{auroc['float32']:.4f}",
        "AUROC in bfloat16": f"{auroc['bfloat16']:.4f}",
        "bfloat16 less float32": show.interval(gap["value"], gap["low"], gap["high"], digits=4, sign=True),
        f"correlation of {run['variants']:,} scores": f"{run['pearson']:.5f}",
        "largest difference of a score (nats)": f"{run['largest_score_difference']:.3f}",
        "median difference of a score (nats)": f"{run['median_score_difference']:.4f}",
        f"same nearest neighbour, {run['proteins']} proteins": f"{run['same_nearest']:.1%}",
        "of the ten nearest, shared": f"{run['shared_of_ten_nearest']:.1%}",
    }
show.table(
    pd.DataFrame(texts).rename_axis("").reset_index(),
    caption=f"The same model in float32 and in bfloat16, {release}; in brackets the 95 % interval from resampling "
    "genes",
)

# %% [markdown]
# ## How the cost grows
#
# Attention compares every residue with every other, so a residue of a long protein costs more.
# Many proteins should cost what one costs, times their number.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Microseconds per residue against the length of the proteins and against their number"}}
cost = pd.DataFrame(
    [
        {
            "against": point["against"],
            "n": point["value"],
            "way": point["way"],
            "dtype": point["dtype"],
            "microseconds": point["microseconds_per_residue"]["median"],
            "low": point["microseconds_per_residue"]["low"],
            "high": point["microseconds_per_residue"]["high"],
        }
        for point in growth["points"]
    ]
)
show.figure(
    figures.by_way(
        cost,
        across="n",
        value="microseconds",
        panel="against",
        x_axis={"length": "residues of each protein", "number": "proteins"},
        axis="microseconds a residue",
    ),
    cost,
    "05_growth",
    profile=profile,
    caption=f"Time a residue, `{growth['model']}` with random weights: against the length of proteins (all of one length) "
    "and against the number of proteins of real lengths. Dots: median over turns; whiskers: range.",
)

# %% [markdown]
# ## The rescue scan
#
# The rescue-mutation study {cite:p}`soylemez2022rescue` scored every substitution on the background of each variant.
# Its script ran five backgrounds at a time through fair-esm, built a table row by row in Python (33 tokens at each
# residue) and wrote tab-separated text; *published* is that way, written anew from its description.
# Ours keeps arrays and writes Parquet.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Milliseconds a background of the rescue scan, split into forward pass, table and file, the published way and ours"}}
label = {"default": "", "tuned": ", tuned malloc"}
parts = pd.DataFrame(
    [
        {
            "model": run["model"],
            "way": each["way"],
            "line": f"{style.label(run['model'])}\n{each['way']}, {each['dtype']}{label[each['malloc']]}",
            "step": step,
            "milliseconds": found["median"],
        }
        for run in scan["runs"]
        for each in run["ways"]
        for step, found in each["milliseconds_per_background"].items()
    ]
)
show.figure(
    figures.steps(parts, rows="line", step="step", value="milliseconds", axis="milliseconds a background"),
    parts,
    "05_scan",
    profile=profile,
    caption=f"Time for one background of {scan['gene']} ({scan['runs'][0]['length']} residues), by step: medians over "
    f"turns of {scan['runs'][0]['backgrounds']} backgrounds. ESM-2's weights are random.",
)

# %% tags=["hide-input"]
table = pd.DataFrame(
    [
        {
            "model": style.label(run["model"]),
            "way": f"{each['way']}, {each['dtype']}{label[each['malloc']]}",
            "times published": spread(each["times_published"]),
            "KiB": round(each["bytes_per_background"] / 1024),
            "largest difference (nats)": f"{each['largest_difference']:.0e}",
            "shared of 50 best": f"{each['shared_of_50_best']:.1%}",
        }
        for run in scan["runs"]
        for each in run["ways"]
    ]
)
show.table(
    table,
    caption="The whole job beside the published way with malloc as shipped (median and range over turns), size of a "
    "background on disk, agreement of the scores",
)

# %% [markdown]
# ## A million proteins
#
# `plmbook embed` on synthetic proteins with a tiny model, killed on the way and started again with the same line.
# Memory must not grow with the number of proteins, and nothing may be lost.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Resident memory over time of a job that embeds a million proteins"}}
million = measured.get("million")
if million:
    curve = pd.DataFrame(million["curve"], columns=["seconds", "mib", "share"])
    curve.insert(0, "minutes", curve["seconds"] / 60)
    show.figure(
        figures.memory(curve, stop=million["seconds_of_each_part"][0] / 60),
        curve,
        "05_memory",
        profile=profile,
        caption=f"Resident memory of `plmbook embed` over {million['proteins']:,} proteins ({million['residues']:,} residues) "
        f"with an ESM-2 of {million['model']['layers']} layer and width {million['model']['dim']}, random weights. "
        "Dotted: killed, and started again.",
    )
else:
    display(not_measured("python benchmarks/million.py"))

# %% tags=["hide-input"]
kill, cluster = measured.get("kill"), measured.get("cluster")
lines = []
if million:
    found = million["found"]
    lines.append(
        f"- **A million**: {million['proteins']:,} proteins in {million['seconds'] / 60:.0f} minutes; "
        f"{million['mib_at_10_percent']:,.0f} MiB when a tenth was done, {million['mib_at_100_percent']:,.0f} MiB at the "
        f"end, peak {million['peak_mib']:,.0f} MiB. Killed with {million['shards_at_the_kill']} of {million['shards']} "
        f"shards written; afterwards all {found['proteins_in_order']:,} proteins were there, in order."
    )
if kill:
    lines.append(
        f"- **Killed at random**: of {len(kill['runs'])} jobs (`{kill['model']}`, {kill['proteins']} proteins, "
        f"{kill['shards']} shards), stopped with SIGKILL at random moments and resumed, {kill['identical']} left the very "
        f"bytes of an undisturbed run, and {kill['kept']} kept every shard that was there."
    )
lines += [] if kill else ["- **Killed at random**: not measured (`python benchmarks/kill.py`)."]
lines += [] if cluster else ["- **Two nodes, one lost**: not measured (`python benchmarks/cluster.py`)."]
display(Markdown("\n".join(lines)))
if cluster:
    stated = {
        key.replace("_", " "): show.as_text(pd.DataFrame({"": [value]})).iat[0, 0]
        for key, value in cluster.items()
        if isinstance(value, bool | int | float | str) and key not in embedding
    }
    show.table(
        pd.DataFrame(stated.items(), columns=["Ray on two local nodes, one of them lost", ""]),
        caption="The same job on a Ray cluster of two nodes on one machine, a node of which is killed on the way",
    )

# %% [markdown]
# ### What a whole database would take
#
# The {term}`tokens <token>` and operations that UniRef50 costs, and the space that its embeddings take ([on a
# cluster](../cluster.md) has the equations and the source of the counts).
# The hours are a bound, not a measurement: every operation at the peak that the makers of two GPUs state for them.

# %% tags=["hide-input"]
rates = {run["model"]: run["residues_per_second"] for run in measured.get("gpu", {}).get("sizes", {}).values()}
whole = cluster_engine.projection(rates=rates)
artifacts.save(whole, "how_fast_projection", profile)
shown = pd.DataFrame(
    {
        "model": whole["model"].map(style.label),
        "GFLOP a token": [f"{each / 1e9:.2f}" for each in whole["flop_per_token"]],
        **{
            f"GPU hours, {name.removeprefix('bound_hours_')} at its peak": [f"{each:,.1f}" for each in whole[name]]
            for name in whole
            if name.startswith("bound_hours_")
        },
        **({"GPU hours, measured rate": [f"{each:,.1f}" for each in whole["measured_hours"]]} if rates else {}),
        "pooled (GB)": whole["pooled_gigabytes"].round().astype(int),
        "by residue (TB)": [f"{each:.1f}" for each in whole["residue_terabytes"]],
    }
)
show.table(
    shown,
    caption=f"UniRef50 ({cluster_engine.UNIREF50_SEQUENCES:,} sequences, {whole['tokens'].iat[0] / 1e9:.1f} billion "
    "tokens): operations, lower bounds of GPU hours, and float16 embeddings before compression",
)

# %% [markdown]
# ## Twenty labels on one matrix
#
# [Twenty GO terms](12_twenty_go_terms.ipynb) trains boosted trees for each term on the same features.
# One `LGBMClassifier` a term bins the features anew each time; *exact* bins them once and grows the same trees; *fast* has
# coarser bins and gives each tree a part of the columns.
# Time is taken on made-up features; average precision in five-fold cross-validation, with hidden states of the embedded
# model.

# %% tags=["hide-input"]
go = measured.get("go")
if go:
    took, judged, quick = go["time"], go["quality"], go["parameters"]
    identical = f"{took['exact_identical']} of {took['exact_compared']} labels"
    same = "the same trees" if took["exact_identical"] == took["exact_compared"] else "not the same trees"
    change = judged["difference"]
    show.table(
        pd.DataFrame(
            [
                ("one classifier a label", "1", "", f"{judged['mean_auprc']['independent']:.4f}"),
                ("exact", spread(took["times_independent"]["exact"], 2), identical, same),
                (
                    "fast",
                    spread(took["times_independent"]["fast"]),
                    "",
                    show.interval(change["value"], change["low"], change["high"], digits=4, sign=True),
                ),
            ],
            columns=["way", "times as fast", "identical predictions", "mean average precision, or its change"],
        ),
        caption=f"{took['labels']} labels of {took['rows']:,} x {took['columns']:,} features, {go['rounds']} trees; "
        f"precision: {len(judged['terms'])} GO terms, {judged['proteins']:,} proteins in {judged['folds']} folds, "
        f"{judged['model']}; fast: {quick['max_bin']} bins, {quick['feature_fraction']:.0%} of the columns",
    )
else:
    display(not_measured("make bench PARTS=go"))

# %% [markdown]
# ## On a GPU
#
# `python benchmarks/gpu.py` runs the true architectures up to 15B on proteins with the lengths of the human and mouse
# ones, against the rate of matrix products measured in the same call.
# Proteins of more than 1,022 residues are read in windows there, whose overlap counts as work.

# %% tags=["hide-input"]
gpu = measured.get("gpu")
if gpu:
    sizes = pd.DataFrame(
        [
            {
                "model": style.label(run["model"]),
                "residues timed": run["residues"],
                "residues/s": round(run["residues_per_second"]),
                "share of limit": f"{run['share_of_limit']:.0%}",
                "peak (GiB)": run["peak_gib"],
                "times sdpa": spread(gpu["transformers"][size]["times_transformers"])
                if size in gpu.get("transformers", {})
                else "–",
            }
            for size, run in gpu["sizes"].items()
        ]
    )
    best = max(rate["gflop_per_second"] for look in gpu["limit"] for rate in look["rates"])
    show.table(
        sizes,
        caption=f"{gpu['device']}, {gpu['dtype']}, random weights; limit: {best / 1000:,.0f} TFLOP/s; sdpa: transformers, "
        "padded, proteins of at most 1,022 residues",
        digits=1,
    )
    jobs = {"proteomes": "human and mouse proteomes, 15B", "rescue": "all backgrounds of the rescue study, six of 650M"}
    show.table(
        pd.DataFrame(
            [
                (text, gpu["projections"][job]["residues"], gpu["projections"][job]["timed_residues"],
                 f"{gpu['projections'][job]['minutes']:.1f}")
                for job, text in jobs.items() if job in gpu.get("projections", {})
            ],
            columns=["job", "residues", "residues timed", "minutes, extrapolated"],
        )
    )  # fmt: skip
    cost_gpu = pd.DataFrame(
        [(p["against"], p["value"], spread(p["microseconds_per_residue"], 2)) for p in gpu.get("growth", [])],
        columns=["against", "n", "microseconds a residue"],
    )
    show.table(cost_gpu, caption="ESM-2 650M: time a residue against length and number of proteins")
else:
    absent = [
        "ESM-2 650M, share of the limit",
        "ESM-2 650M, times transformers' sdpa with padding",
        "ESM-2 3B and 15B, residues a second",
        "human and mouse proteomes (20 million residues), 15B",
        "25,351 rescue backgrounds (15.4 million residues), six models of 650M",
    ]
    show.table(pd.DataFrame({"on a GPU": absent, "": "not measured"}))
    display(not_measured("python benchmarks/gpu.py"))

# %% [markdown]
# ## This machine, now
#
# The machine that builds this page, on a few proteins with the embedded model: fair-esm and the engine in turns, three
# times.

# %% tags=["hide-input"]
done = subprocess.run(
    [sys.executable, "benchmarks/engine.py", "check"], cwd=paths.root(), capture_output=True, text=True, check=True
)
live = json.loads(done.stdout.splitlines()[-1])
show.table(
    pd.DataFrame(
        [
            {
                "way": f"{each['way']}, {each['dtype']}",
                "residues/s": round(each["residues_per_second"]["median"]),
                "times fair-esm": spread(each["times_fair_esm"]),
                "largest difference": f"{each['largest_difference']:.0e}",
                "centred cosine": f"{each['smallest_centred_cosine']:.6f}",
            }
            for each in live["ways"]
        ]
    ),
    caption=f"{live['model']}, {live['proteins']} proteins, {live['residues']:,} residues, threads: {live['threads']}",
)

# %% [markdown]
# ## Gate

# %%
exact = speed[speed["dtype"] == "float32"]
assert (exact["smallest_cosine"] > 0.99999).all(), "a way in float32 does not agree with fair-esm"
assert (speed["smallest_centred_cosine"] > 0.98).all(), "a way in bfloat16 is off"
assert live["ways"][1]["smallest_centred_cosine"] > 0.99999, "the engine does not agree with fair-esm on this machine"

# %% [markdown]
# ## What this shows

# %% tags=["hide-input"]
largest = shipped[ours & shipped["model"].str.startswith("esm2")]
said = []
for dtype, part in largest.groupby("dtype", sort=False):
    both = pd.concat([part, tuned.loc[part.index]])
    said.append(
        f"- In {dtype} the engine is {part['times_median'].min():.1f} to {part['times_median'].max():.1f} times as fast as "
        f"fair-esm's loop in float32 on ESM-2 of {part['model'].map(style.label).iat[0].split()[-1]} to "
        f"{part['model'].map(style.label).iat[-1].split()[-1]}, and {both['times_median'].min():.1f} times at least once "
        f"malloc is tuned for both; {part['times_transformers'].min():.1f} to {part['times_transformers'].max():.1f} times "
        f"as fast as transformers' fused attention in {dtype}. It reaches {part['share_median'].min():.0%} to "
        f"{part['share_median'].max():.0%} of the measured limit."
    )
worst = largest.groupby("dtype")["smallest_centred_cosine"].min()
said.append(
    "- The smallest centred cosine to fair-esm's embeddings is "
    + ", ".join(f"{value:.6f} in {dtype}" for dtype, value in worst.items())
    + "; on our own variants bfloat16 moves the AUROC by "
    + " and ".join(f"{run['auroc_difference']['value']:+.4f}" for run in precision["runs"])
    + "."
)
gain = [each for run in scan["runs"] for each in run["ways"] if each["way"] == "plmbook"]
said.append(
    f"- The rescue scan is {min(each['times_published']['median'] for each in gain):.1f} to "
    f"{max(each['times_published']['median'] for each in gain):.1f} times as fast as the published way, in which the table "
    "and the file take "
    + " and ".join(
        f"{1 - parts_of['forward'] / sum(parts_of.values()):.0%} ({style.label(run['model'])})"
        for run in scan["runs"]
        for parts_of in [{k: v["median"] for k, v in run["ways"][0]["milliseconds_per_background"].items()}]
    )
    + " of the time."
)
by_dtype = {
    dtype: min(each["shared_of_50_best"] for each in gain if each["dtype"] == dtype)
    for dtype in ("float32", "bfloat16")
}
said.append(
    f"- Of the 50 best second sites of a background the scan shares {by_dtype['float32']:.0%} with the published way in "
    f"float32 and {by_dtype['bfloat16']:.0%} in bfloat16 (the lowest of the models): scores near the top differ by less "
    "than bfloat16 can tell, so a ranking of single substitutions wants float32."
)
if not gpu:
    said.append("- Nothing here was measured on a GPU.")
Markdown("\n".join(said))

# %% [markdown]
# ## Limits
#
# - One machine, shared with others: times vary from turn to turn, which is why ratios are taken within a turn and ranges
#   are given. Another processor has another ratio of arithmetic to memory, and another gain from bfloat16.
# - The larger the model, the fewer the proteins and turns.
# - Random weights have no outlying channels; trained models do, and bfloat16 may cost them more.
#   The embedded models, which are trained, are small.
# - fair-esm's loop does more than embedding needs: attention weights and logits are computed and dropped.
#   That is how its script ships, not the best that its code could do.
# - The published scan was written anew from its description, not run.
