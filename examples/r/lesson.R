# The lecture's script on CIFAR-100, in R with skcnn:
#   Rscript lesson.R [EPOCHS]
library(reticulate)
skcnn <- import("skcnn")
inspection <- import("skcnn.inspection")
# Large arrays stay in Python: convert = FALSE copies none of them to R.
datasets <- import("skcnn.datasets", convert = FALSE)
epochs <- as.numeric(c(commandArgs(trailingOnly = TRUE), 30)[1])

# The data: photographs of animals and plants. They are downloaded once.
train <- datasets$fetch_cifar100(subset = "train", categories = "ecology")
test <- datasets$fetch_cifar100(subset = "test", categories = "ecology")
names <- py_to_r(train$target_names)
y <- names[py_to_r(train$target) + 1]  # Python counts from 0, R from 1
y_test <- names[py_to_r(test$target) + 1]

# The network.
model <- skcnn$ConvNetClassifier(
  filters = c(32, 64, 128, 256), convs_per_block = 1, kernel_size = 3,
  activation = "relu", pool = "max", pool_size = 2,
  normalization = NULL, residual = FALSE,
  global_pool = NULL, dense_units = 512, dropout = 0.5,
  optimizer = "rmsprop", lr = 0.001, lr_schedule = NULL, weight_decay = 0,
  label_smoothing = 0, augment = NULL, max_epochs = epochs, batch_size = 128,
  random_state = 1
)
print(model$summary(c(32, 32, 3), n_classes = length(names)))

# The training, with a fifth of the images to watch it, and its curve.
# Rows count from 0 in Python.
held_out <- which(seq_along(y) %% 5 == 0)
model <- model$fit(
  train$data$take(seq_along(y)[-held_out] - 1L, axis = 0L), y[-held_out],
  X_val = train$data$take(held_out - 1L, axis = 0L), y_val = y[held_out]
)
inspection$HistoryDisplay$from_estimator(model)$figure_$savefig("history.png")
cat("accuracy on the test images:", model$score(test$data, y_test), "\n")

# Probabilities and labels of a few test images.
few <- test$data$take(0:8, axis = 0L)  # the first nine
probability <- model$predict_proba(few)
label <- model$classes_[apply(probability, 1, which.max)]
print(data.frame(actual = y_test[1:9], label,
                 probability = apply(probability, 1, max)))
picture <- inspection$PredictionsDisplay$from_estimator(model, few, y_test[1:9])
picture$figure_$savefig("predictions.png")
skcnn$save(model, "lesson.skcnn")
