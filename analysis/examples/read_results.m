% A results.h5 or campaign.h5 of iau in MATLAB: read_results('FILE.h5')
function read_results(path)
groups = {h5info(path).Groups.Name};
if any(strcmp(groups, '/row'))  % a campaign: columns of equal length in every group
    model = string(h5read(path, '/row/model'));
    accuracy = h5read(path, '/metrics/accuracy_test');
    for name = unique(model)'
        fprintf('%s  accuracy_test %.4f\n', name, mean(accuracy(model == name)));
    end
else  % one run: a scalar for each model and metric, which says what its ideal is
    models = {h5info(path, '/evaluation').Groups.Name};
    for k = 1:numel(models)
        accuracy = h5read(path, [models{k} '/accuracy_test']);
        auc = [models{k} '/mia_confidence_auc'];
        fprintf('%s  accuracy_test %.4f  mia_confidence_auc %.4f  ideal %.1f\n', models{k}, ...
                accuracy, h5read(path, auc), h5readatt(path, auc, 'ideal'));
    end
end
end
