#!/usr/bin/env python3
"""Draw samples of a dataset file of `iau import`: a row a class, images or a table's values.

usage: montage.py DATA.h5 OUT.png [--part train|test] [--samples N] [--classes N] [--seed N]
"""
import argparse
import io
import os

import h5py
import matplotlib
import numpy as np

import iau_results as res

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # after the choice of a backend that needs no screen

INK, MUTED = "#1d2430", "#667085"
MOST_FEATURES = 600  # of a table are drawn


def read(path, part, n_class, n_sample, seed):
    """Title, and by class: name, samples of the part, ids and values of a few of them."""
    try:
        with h5py.File(path, "r") as file:
            about = res.attributes(file)
            if about.get("format") != "iau-dataset":
                raise res.ResultsError(f"{path}: not a dataset file of iau")
            names = [res.text(name) for name in file.attrs["class_names"]]
            x, ids, labels = file[part]["x"], file[part]["id"], file[part]["y"][()]
            rng, rows = np.random.default_rng(seed), []
            for label, name in enumerate(names[:n_class]):
                at = np.flatnonzero(labels == label)
                drawn = np.sort(rng.choice(at, min(n_sample, len(at)), replace=False))
                rows.append((name, len(at), ids[drawn] if len(drawn) else [], x[drawn] if len(drawn) else []))
            shape = " x ".join(map(str, x.shape[1:]))
            title = f"{about['name']}: {res.number(len(labels))} {'training' if part == 'train' else 'test'} samples of {shape}"
            return title, rows, len(names), x.ndim == 2
    except (OSError, KeyError) as error:
        raise res.ResultsError(f"{path}: cannot be read as a dataset file: {error}") from None


def picture(sample, low, high):
    """[c][h][w] as an image of one or three channels in [0, 1]."""
    image = (sample.astype(np.float64) - low) / ((high - low) or 1)
    return image.transpose(1, 2, 0) if len(image) == 3 else image[0]


def value_range(rows):
    values = [v for *_, x in rows for v in (np.min(x), np.max(x)) if len(x)]
    is_bytes = all(np.asarray(x).dtype == np.uint8 for *_, x in rows if len(x))
    return (0, 255) if is_bytes and max(values, default=0) > 1 else (min(values, default=0), max(values, default=1))


def draw_images(figure, rows, columns):
    low, high = value_range(rows)
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for line, (_, _, ids, x) in zip(axes, rows):
        for ax, key, sample in zip(line, ids, x):
            ax.imshow(picture(sample, low, high), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            ax.set_title(str(key), fontsize=5.5, color=MUTED, pad=1.5)
        for ax in line:
            ax.axis("off")
    return axes[:, 0]


def draw_tables(figure, rows, columns):
    low, high = value_range(rows)
    axes = figure.subplots(len(rows), 1, squeeze=False)[:, 0]
    for ax, (_, _, ids, x) in zip(axes, rows):
        values = np.asarray(x, np.float64).reshape(len(ids), -1)[:, :MOST_FEATURES]
        if len(ids):
            ax.imshow(values, aspect="auto", cmap="Blues", vmin=low, vmax=high, interpolation="nearest")
        ax.set_yticks(range(len(ids)), [str(key) for key in ids], fontsize=5, color=MUTED)
        ax.set_xticks([])
        ax.tick_params(length=0, pad=1)
        for side in ax.spines.values():
            side.set_visible(False)
    axes[-1].set_xlabel(f"features; colour from {low:g} to {high:g}", fontsize=7, color=MUTED)
    return axes


def draw(path, title, rows, n_class, columns, is_table):
    height = (0.15 + 0.085 * columns if is_table else 0.62) * len(rows) + 0.75
    figure = plt.figure(figsize=(1.9 + (7 if is_table else 0.58 * columns), height), facecolor="white")
    first = (draw_tables if is_table else draw_images)(figure, rows, columns)
    figure.subplots_adjust(left=1.75 / figure.get_figwidth(), right=0.99, top=1 - 0.5 / height, bottom=0.22 / height,
                           wspace=0.06, hspace=0.28)
    for ax, (name, count, *_) in zip(first, rows):
        box = ax.get_position()
        label = name if len(name) <= 24 else name[:23] + "…"
        figure.text(0.1 / figure.get_figwidth(), (box.y0 + box.y1) / 2, f"{label}\n{count:,} samples", va="center",
                    fontsize=7.5, color=INK, linespacing=1.4)
    more = f"  (the first {len(rows)} of {n_class} classes)" if n_class > len(rows) else ""
    figure.text(0.1 / figure.get_figwidth(), 1 - 0.2 / height, title + more, fontsize=9.5, fontweight="bold", color=INK,
                va="center")
    data = io.BytesIO()
    try:
        figure.savefig(data, dpi=150, format=os.path.splitext(path)[1][1:] or "png")
    except ValueError as error:
        raise res.ResultsError(f"{path}: {error}") from None
    plt.close(figure)
    res.write_whole(path, data.getvalue())


def main():
    parser = argparse.ArgumentParser(description="Draw samples of a dataset file, a row a class, with their ids.")
    parser.add_argument("data")
    parser.add_argument("out", help="the picture; its ending says the format")
    parser.add_argument("--part", choices=["train", "test"], default="train")
    parser.add_argument("--samples", type=int, default=12, help="of each class")
    parser.add_argument("--classes", type=int, default=20, help="at most")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of samples")
    args = parser.parse_args()
    if args.samples < 1 or args.classes < 1:
        parser.error("at least one sample of one class")
    title, rows, n_class, is_table = read(args.data, args.part, args.classes, args.samples, args.seed)
    draw(args.out, title, rows, n_class, args.samples, is_table)


if __name__ == "__main__":
    res.run(main)
