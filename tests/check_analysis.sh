#!/bin/bash
# The scripts that read outputs: reports of a run, of a campaign and of scaling, tables in every format, what differs
# between two files, and the examples in other languages.
# shellcheck source=tests/program.sh
. "$(dirname "$0")/program.sh"
PYTHON=${PYTHON:-/usr/bin/python3}
analysis=$ROOT/analysis

if ! "$PYTHON" -c 'import h5py, matplotlib' 2>/dev/null; then
    skip "reports and tables: need python3-h5py and python3-matplotlib"
    finish analysis
    exit
fi
export MPLCONFIGDIR=$scratch/matplotlib
make_data small 203 70
cat >camp.yaml <<'END_YAML'
data: {file: small.h5, valid: 0.2, source: {format: idx, files: [small]}}
model: {name: mlp, hidden: [16]}
train: {epochs: 2, batch: 64, unit: 64, optimizer: {lr: 0.01}}
forget: {ratio: 0.05}
methods: [{name: iau, method: iau}, {name: ia, method: iau, correction: off}]
output: {dir: camp}
campaign: {grid: {forget.seed: [1, 2], forget.ratio: [0.05, 0.1]}}
END_YAML
launch 2 "$IAU" -q campaign run camp.yaml >said 2>&1 && "$IAU" -q campaign merge camp.yaml >>said 2>&1
verdict "a campaign to read" $?
mapfile -t results < <("$IAU" campaign list camp.yaml | sed -n 's|^task.*  in \(.*\)|\1/results.h5|p')

# runs STATUS PATTERN SCRIPT ARGUMENTS...: exit status and a line of the output.
runs() {
    local status=$1 pattern=$2 script=$3 got
    shift 3
    "$PYTHON" "$analysis/$script" "$@" >output 2>said </dev/null
    got=$?
    [ "$got" -eq "$status" ] && grep -qE -- "$pattern" output said
    verdict "'$pattern' from $script $*; got $got" $? <(cat output said)
}

# --- tables
runs 0 '^retrain +0\.' table.py "${results[0]}"
runs 0 '^\| iau \| 0\.' table.py "${results[0]}" --format markdown
runs 0 '^  iau & 0\..* \\\\$' table.py "${results[0]}" --format latex
runs 0 '^model,accuracy_test,' table.py "${results[0]}" --format csv --metrics accuracy_test
runs 1 'no metric nonsense' table.py "${results[0]}" --metrics nonsense
runs 0 '^iau · ratio 0.05 +2 +[01](\.[0-9]+)? ± 0\.[0-9]+' table.py camp/campaign.h5
runs 0 '^\| origin · ratio 0.1 \| 2 \|' table.py camp/campaign.h5 --format markdown
runs 0 '\$\\pm\$' table.py camp/campaign.h5 --format latex
runs 0 '^task,model,kind,forget.ratio,forget.seed,accuracy_test,gradients' table.py camp/campaign.h5 --format csv \
    --metrics accuracy_test
[ "$(wc -l <output)" -eq 17 ]
verdict "csv: a row a task and model" $? output
runs 1 'table.py: error: nowhere.h5: no such file' table.py nowhere.h5

# --- differences
runs 0 'no difference in [0-9]+ settings and [0-9]+ numbers' compare.py "${results[0]}" "${results[0]}"
runs 1 '^  forget.ratio +0.05 +0.1$' compare.py "${results[0]}" "${results[1]}"
grep -qE '^  evaluation/iau/loss_forget +.* [-+]' output && ! grep -q seconds output && ! grep -q 'train.seed' output
verdict "compare: settings and numbers that differ, and no others" $? output
runs 1 'cost/origin/seconds_total|seconds_compute' compare.py "${results[0]}" "${results[2]}" --all
runs 0 'no difference' compare.py camp/campaign.h5 camp/campaign.h5
runs 2 'compare.py: error: camp/campaign.h5 is iau-campaign, .* is iau-results' compare.py camp/campaign.h5 "${results[0]}"
runs 2 'no results, model or campaign file' compare.py small.h5 small.h5
one=(-q run camp.yaml --forget.seed=1 --forget.ratio=0.05)
"$IAU" "${one[@]}" --output.dir=long --train.epochs=3 >said 2>&1
verdict "a run of more epochs" $? said
"$IAU" "${one[@]}" --output.dir=short >said 2>&1
verdict "a run by itself" $? said
runs 1 '^  train.epochs +2 +3$' compare.py short/origin.h5 long/origin.h5
grep -qE '^  params/fc1.weight +[0-9]+ of [0-9]+ differ, by at most' output
verdict "compare: parameters" $? output
runs 0 'no difference' compare.py short/results.h5 "${results[0]}" # other folders, the same numbers

# --- reports
holds() {
    local page=$1 word
    shift
    for word in "$@"; do
        grep -qF -- "$word" "$page" || return 1
    done
}
runs 0 '^report: run.html$' report.py "${results[0]}" -o run.html
holds run.html 'Unlearning report' 'Membership attack' 'All metrics' '</html>'
verdict "the report of a run" $?
runs 0 '^report: camp.html$' report.py camp/campaign.h5 -o camp.html
holds camp.html 'Unlearning campaign' '4 of 4 tasks' 'forget.ratio = 0.1' 'standard deviation' 'data:image/svg' '</html>'
verdict "the report of a campaign" $?
sed -e 's/forget.seed: .*/seed: [1, 2]}}/' -e 's/dir: camp}/dir: seeds}/' -e 's/method: iau}/method: iau, tune: 6}/' camp.yaml >seeds.yaml
echo 'evaluate: {floor: 1}' >>seeds.yaml
launch 2 "$IAU" -q run seeds.yaml >said 2>&1
verdict "a campaign of seeds" $?
runs 0 '^retrain_seed\* +2 ' table.py seeds/campaign.h5
runs 0 '^\| iau \| 2 \|.*\| [12]\.[0-9]+ ± [0-9.]+ \|$' table.py seeds/campaign.h5 --format markdown
runs 0 '^report: seeds.html$' report.py seeds/campaign.h5 -o seeds.html
holds seeds.html 'Methods beside each other' 'Forgetting against usefulness' 'Ranking' 'removal gap' 'mean TPR over runs' 'Time of each method'
verdict "the report puts methods beside each other" $?
sed -e 's/, correction: off}/, correction: off}, {name: wild, method: ascent, lr: 1e30}/' -e '/^campaign:/d' -e 's/dir: camp}/dir: wild}/' camp.yaml \
    >wild.yaml
echo 'campaign: {grid: {forget.seed: [1, 2]}}' >>wild.yaml
launch 2 "$IAU" -q run wild.yaml >said 2>&1
[ $? -eq 1 ]
verdict "a campaign with a method that runs off" $?
runs 0 '^report: wild.html$' report.py wild/campaign.h5 -o wild.html
holds wild.html 'Methods that failed' 'is not finite or too large' && [ "$(grep -o '>wild</td>' wild.html | wc -l)" -eq 2 ]
verdict "the report of a campaign names methods that failed" $?
runs 0 '^report: wild.html$' report.py wild/tasks/*1*/results.h5 -o wild.html
holds wild.html 'Methods that failed' 'is not finite or too large' 'All metrics'
verdict "the report of a run, too" $?
runs 0 '^ia +0\.' table.py wild/tasks/*1*/results.h5
"$PYTHON" "$analysis/report.py" seeds/campaign.h5 --picture seeds.png >said 2>&1 && head -c 8 seeds.png | grep -q PNG
verdict "the picture of a campaign" $? said
"$PYTHON" - seeds/campaign.h5 >said 2>&1 <<'END_PYTHON'
import sys, h5py, numpy as np
file = h5py.File(sys.argv[1])
model, kind = (file["row"][n].asstr()[()] for n in ("model", "kind"))
trials = {n: c[()] for n, c in file["trials"].items()}
assert sorted(set(trials["model"])) == [b"iau"] and len(trials["strength"]) == 12, trials["model"]
assert list(trials["task"]) == [0] * 6 + [1] * 6 and np.all(np.diff(trials["trial"][:6]) == 1)
for task in (0, 1):
    kept = min(np.flatnonzero(trials["task"] == task), key=lambda i: trials["objective"][i])
    row = np.flatnonzero((file["row/task"][()] == task) & (model == "iau"))
    assert [trials["accuracy_test"][kept]] == list(file["metrics/accuracy_test"][()][row]), "the kept trial is the model"
for name, rank in file["ranking"].items():
    assert rank.attrs["direction"] in ("lower", b"lower") and rank.attrs["ideal"] == 1
    assert np.all(np.isnan(rank[()]) == (kind != "method")), name
    for task in (0, 1):
        own = (file["row/task"][()] == task) & (kind == "method")
        assert name.startswith("average") or np.sum(rank[()][own]) == 3, name  # 1 + 2, or 1.5 twice
END_PYTHON
verdict "trials and ranks of a campaign" $? said
cp -r seeds part && rm part/tasks/seed-2_*/results.h5
PYTHONPATH=$analysis "$PYTHON" - >said 2>&1 <<'END_PYTHON'
import glob, numpy as np
import figures_methods, figures_roc, iau_campaign as camp, iau_results as res

campaign = camp.read("seeds/campaign.h5")
groups, trials = camp.groups(campaign), campaign.trials
curve = figures_methods.trial_curve(campaign, next(g for g in groups if g.model == "iau"))
weakest = 100 * np.mean(trials["accuracy_test"][trials["trial"] == 1])
assert len(curve) == figures_methods.N_SPREAD and np.isclose(curve[0, 1], weakest), "trials are drawn on test samples"

def curves(ax):
    return [line for line in ax.lines if len(line.get_xdata()) > 2]

ax = figures_methods.tradeoff(campaign, groups).axes[0]
assert "test samples" in ax.get_ylabel() and len(curves(ax)) == 1, ax.get_ylabel()
n_point = len(ax.collections)
del trials["accuracy_test"]
ax = figures_methods.tradeoff(campaign, groups).axes[0]
assert not curves(ax) and len(ax.collections) == n_point - 1, "without it, points alone"

def look(path):
    figure, left_out = figures_roc.campaign(camp.read(path))
    linear, log = figure.axes
    assert left_out == 0 and log.get_xscale() == "log" and len(curves(log)) == len(curves(linear)) + 1  # the diagonal
    return linear.get_title(loc="left"), {x.get_label().split()[0]: x for x in curves(linear)}, len(linear.collections)

title, lines, n_band = look("seeds/campaign.h5")
assert title == "From origin: mean over 2 runs" and set(lines) == {"origin", "iau", "ia", "retrain"} and n_band == 4, title
runs = [res.read(p).models for p in sorted(glob.glob("seeds/tasks/*/results.h5"))]
for name, line in lines.items():
    own = [next(m for m in models if m.name == name) for models in runs]
    for x, y in list(zip(line.get_xdata(), line.get_ydata()))[::37]:
        reached = [max(tpr[fpr <= x]) for fpr, tpr in (m.roc["confidence"] for m in own)]
        assert np.isclose(y, np.mean(reached)), (name, x)
    auc = [m.value("mia_confidence_auc") for m in own]
    assert line.get_label() == f"{name}  {np.mean(auc):.3f} ± {np.std(auc, ddof=1):.3f}", line.get_label()
title, lines, n_band = look("part/campaign.h5")
assert title == "From origin: mean over 1 run" and len(lines) == 4 and n_band == 0 and "±" not in lines["ia"].get_label()

names = ["origin", "retrain", "retrain_seed2"] + [f"m{i}" for i in range(12)]
columns = {"model": names, "kind": ["origin", "retrain", "retrain"] + ["method"] * 12, "origin": ["origin"] * 15,
           "model_digest": names, "mia_confidence_auc": [0.5] * 15, "gap_average": [np.nan, np.nan, 0] + [*range(12, 0, -1)]}
many = camp.Campaign("", columns, {}, {}, [], {}, (1, 1), {})
family, = figures_roc.families(many)
found = figures_roc.shown(many, family, {(n, n, 0.5): (np.array([0, 1]), np.array([0, 1])) for n in names})
assert [g.model for g, _ in found] == ["origin", "retrain", "m11", "m10", "m9", "m8", "m7", "m6"], found
END_PYTHON
verdict "trials on test samples, and ROC curves over seeds" $? said
runs 0 '^report: part.html$' report.py part/campaign.h5 -o part.html
rm -r part/tasks
runs 0 '^report: part.html$' report.py part/campaign.h5 -o part.html
! holds part.html 'Membership attack'
verdict "a campaign without the runs' results" $?
cat >scaling.json <<'END_JSON'
{"name": "a slow network", "machine": {"blas_core": "X"},
 "network": {"latency_s": 1e-3, "bandwidth_bytes_s": 1.25e7, "memory_bytes_s": 1e10, "source": "as given"},
 "curves": [{"name": "training, batch 64", "kind": "training", "scaling": "strong", "model": "lenet5",
             "ranks": [1, 2], "seconds": [2e-3, 6e-2], "predicted": [2e-3, 5e-2]},
            {"name": "unlearning, n = 40,000", "kind": "unlearning", "scaling": "strong", "model": "lenet5",
             "ranks": [1, 2], "seconds": [1.0, 0.6], "predicted": [1.0, 0.55]}]}
END_JSON
runs 0 '^report: both.html$' report.py camp/campaign.h5 -o both.html --scaling scaling.json scaling.json
holds both.html 'Unlearning campaign' 'Scaling: a slow network' 'unlearning, n = 40,000' '1,000 µs'
verdict "the report of scaling, beside a campaign" $?
runs 0 '^report: speed.html$' report.py -o speed.html --scaling scaling.json
echo '{}' >broken.json
runs 1 'report.py: error: broken.json: cannot be read as a scaling.json' report.py -o speed.html --scaling broken.json
runs 2 'a report needs' report.py -o nothing.html

# --- models that forget a class, ensembles, more models than colours, methods slower than retraining
PYTHONPATH=$analysis "$PYTHON" - >said 2>&1 <<'END_PYTHON'
import numpy as np
import drift, figures, iau_results as res, report

def model(name, kind="method", value=0.0, seconds=1.0, **more):
    return res.Model(name, kind, about={"origin": "origin"}, cost={"seconds_total": seconds},
                     metrics={f"accuracy_{s}": res.Metric(value) for s in res.SETS}, **more)

twin = model("retrain", "retrain", seconds=3)
assert drift.cells(model("m", value=0.5), twin, "accuracy_forget") == "0.5000 (0)", "a retrained 0 is shown"
epochs = {"epoch": np.array([1, 2, 1, 2]), "shard": np.zeros(4), "loss_train": np.ones(4), "other": np.ones(4)}
ensemble = model("origin", "origin", epochs=epochs)
models = res.in_order([ensemble, twin] + [model(f"m{i}", seconds=[1, 2.9, 6][i % 3]) for i in range(15)])
looks = {(m.color, m.dash) for m in models if m.kind == "method"}
assert len(looks) == 15, looks
results = res.Results("r.h5", models, {})
assert figures.columns(results, "epochs") == ["loss_train", "other"]
figure, axes = figures.new_figure(1, 2, 3)
figures.curve_panel(axes[0, 0], results, ["loss_train"], "loss")
assert np.isnan(axes[0, 0].lines[0].get_xdata()).sum() == 1, "the second model begins a line of its own"
figures.accuracy_panel(axes[0, 1], results, "forget")
figure.canvas.draw()
assert all(t.get_color() != "white" for t in axes[0, 1].texts), "nothing is white outside of a bar"
notes = [report.tiles(results, m) for m in models if m.kind == "method"]
assert "3x faster than retraining" in notes[0] and "97 % of retraining" in notes[1] and "200 % of" in notes[2], notes[:3]
END_PYTHON
verdict "values of 0, ensembles, many and slow models" $? said

# --- examples in other languages
if "$PYTHON" -c 'import pandas' 2>/dev/null; then
    runs 0 '^ideal attack AUC: 0.5$' examples/read_results.py "${results[0]}"
    runs 0 '^origin +[01]\.' examples/read_results.py camp/campaign.h5
    runs 0 '^origin +[01]\.' examples/read_results.py seeds/campaign.h5
else
    skip "the example in pandas: needs python3-pandas"
fi
if Rscript -e 'library(hdf5r)' >/dev/null 2>&1; then
    Rscript "$analysis/examples/read_results.R" "${results[0]}" >output 2>said && grep -q '^ideal attack AUC: 0.5' output
    verdict "the example in R, of a run" $? <(cat output said)
    Rscript "$analysis/examples/read_results.R" camp/campaign.h5 >output 2>said && grep -qE '^[0-9] +retrain +[01]' output
    verdict "the example in R, of a campaign" $? <(cat output said)
else
    skip "the example in R: needs r-cran-hdf5r"
fi

finish analysis
