#!/usr/bin/env python3
"""A results.h5 or campaign.h5 of iau as a pandas table: read_results.py FILE.h5"""
import sys

import h5py
import pandas


def column(data):
    return data.asstr()[()] if h5py.check_string_dtype(data.dtype) else data[()]


with h5py.File(sys.argv[1]) as file:
    if "row" in file:  # a campaign: columns of equal length in every group, but for the trials of searches
        table = pandas.DataFrame({name: column(data) for key, group in file.items()
                                  if key != "trials" for name, data in group.items()})
        print(table.groupby("model")[["accuracy_test", "mia_confidence_auc"]].agg(["mean", "std"]))
    else:  # one run: a scalar for each model and metric, which says what its ideal is
        evaluation = file["evaluation"]
        table = pandas.DataFrame({model: {name: value[()] for name, value in metrics.items()}
                                  for model, metrics in evaluation.items()}).T
        print(table[["accuracy_test", "mia_confidence_auc"]])
        auc = next(iter(evaluation.values()))["mia_confidence_auc"]
        print("ideal attack AUC:", auc.attrs["ideal"])
