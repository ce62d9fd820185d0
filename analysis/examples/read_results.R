#!/usr/bin/env Rscript
# A results.h5 or campaign.h5 of iau in R, with hdf5r: Rscript read_results.R FILE.h5
library(hdf5r)
file <- H5File$new(commandArgs(trailingOnly = TRUE)[1], mode = "r")
if ("row" %in% names(file)) { # a campaign: columns of equal length in every group
  table <- data.frame(row.names = seq_len(file[["row/task"]]$dims))
  for (group in c("row", "settings", "metrics", "cost"))
    for (name in names(file[[group]]))
      table[[name]] <- file[[group]][[name]]$read()
  print(aggregate(table[c("accuracy_test", "mia_confidence_auc")], table["model"], mean))
} else { # one run: a scalar for each model and metric, which says what its ideal is
  models <- names(file[["evaluation"]])
  value <- function(model, metric) file[["evaluation"]][[model]][[metric]]$read()
  print(data.frame(
    model = models,
    accuracy_test = sapply(models, value, "accuracy_test"),
    mia_confidence_auc = sapply(models, value, "mia_confidence_auc"), row.names = NULL))
  auc <- file[["evaluation"]][[models[1]]][["mia_confidence_auc"]]
  cat("ideal attack AUC:", h5attr(auc, "ideal"), "\n")
}
file$close_all()
