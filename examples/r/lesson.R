# The lecture's script on CIFAR-100, in R with skcnn.
#   Rscript lesson.R [EPOCHS]
# The data are downloaded once, to the folder skcnn of scikit_learn_data.
library(reticulate)
skcnn <- import("skcnn")
datasets <- import("skcnn.datasets")
inspection <- import("skcnn.inspection")
epochs <- as.numeric(c(commandArgs(trailingOnly = TRUE), 30)[1])

# The data: photographs of animals and plants.
train <- datasets$fetch_cifar100("train", categories = "ecology")
test <- datasets$fetch_cifar100("test", categories = "ecology")
x <- train$data
y <- train$target_names[as.vector(train$target) + 1]  # Python counts from 0
x_test <- test$data
y_test <- test$target_names[as.vector(test$target) + 1]

# The network and its training.
model <- skcnn$ConvNetClassifier(
  filters = c(32, 64, 128, 256), kernel_size = 3, activation = "relu",
  pool = "max", pool_size = 2, normalization = NULL, residual = FALSE,
  global_pool = NULL, dense_units = 512, dropout = 0.5, augment = NULL,
  optimizer = "rmsprop", lr = 0.001, lr_schedule = NULL,
  max_epochs = epochs, batch_size = 128, random_state = 1
)
