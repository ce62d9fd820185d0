# A results.h5 or campaign.h5 of iau in Julia, with HDF5.jl: julia read_results.jl FILE.h5
using HDF5, Statistics
h5open(ARGS[1]) do file
    if haskey(file, "row") # a campaign: columns of equal length in every group
        model = read(file["row/model"])
        accuracy = read(file["metrics/accuracy_test"])
        for name in unique(model)
            println(name, "  accuracy_test ", mean(accuracy[model .== name]))
        end
    else # one run: a scalar for each model and metric, which says what its ideal is
        for model in keys(file["evaluation"])
            metrics = file["evaluation/$model"]
            println(model, "  accuracy_test ", read(metrics["accuracy_test"]),
                    "  mia_confidence_auc ", read(metrics["mia_confidence_auc"]),
                    "  ideal ", read_attribute(metrics["mia_confidence_auc"], "ideal"))
        end
    end
end
