# Parameters of the estimators as R writes them: doubles, vectors, lists, NULL, single values.
library(reticulate)
source("fails.R")
skcnn <- import("skcnn")
datasets <- import("skcnn.datasets")

images <- datasets$make_organisms(60, n_classes = 3, image_size = 16, random_state = 0)
X <- images[[1]]
species <- factor(c("bee", "fly", "wasp"))[as.vector(images[[2]]) + 1]
stopifnot(identical(dim(X), c(60L, 16L, 16L, 3L)), is.integer(X))

classifier <- function(...) {
  given <- list(filters = c(8, 16), max_epochs = 1, random_state = 0)
  do.call(skcnn$ConvNetClassifier, modifyList(given, list(...), keep.null = TRUE))
}
probability <- function(...) classifier(...)$fit(X, species)$predict_proba(X)

same <- list(
  list(list(filters = 8), list(filters = tuple(8L))),
  list(list(filters = c(8, 16)), list(filters = tuple(8L, 16L))),
  list(list(filters = list(8, 16)), list(filters = tuple(8L, 16L))),
  list(list(convs_per_block = 2, kernel_size = 3), list(convs_per_block = 2L, kernel_size = 3L)),
  list(list(dense_units = c(8, 4), dropout = 0), list(dense_units = tuple(8L, 4L), dropout = 0)),
  list(list(image_shape = c(16, 16, 3)), list(image_shape = dim(X)[-1])),
  list(list(batch_size = 16, verbose = 0), list(batch_size = 16L, verbose = FALSE)),
  list(list(augment = "flip"), list(augment = list("flip"))),
  list(list(augment = c("flip", "shift")), list(augment = tuple("flip", "shift"))),
  list(list(class_weight = list(bee = 2, fly = 1, wasp = 1)),
       list(class_weight = dict(bee = 2L, fly = 1L, wasp = 1L))),
  list(list(early_stopping = TRUE, n_iter_no_change = 1),
       list(early_stopping = TRUE, n_iter_no_change = 1L)),
  list(list(lr_schedule = NULL, dense_units = NULL), list(lr_schedule = NULL)),
  list(list(random_state = 7), list(random_state = 7L))
)
for (pair in same) {
  stopifnot(identical(do.call(probability, pair[[1]]), do.call(probability, pair[[2]])))
}

# NA is an error, as are parts of a whole number.
fails(probability(max_epochs = NA), "'max_epochs' .* Got True instead")
fails(probability(max_epochs = NA_integer_), "'max_epochs' .* Got -2147483648 instead")
fails(probability(lr = NA_real_), "'lr' .* Got nan instead")
fails(probability(max_epochs = 2.5), "'max_epochs' .* Got 2.5 instead")

stopifnot(classifier()$summary(c(16, 16, 3), n_classes = 3)$n_parameters > 1000)
regressor <- skcnn$ConvNetRegressor(filters = c(8, 16), max_epochs = 1, random_state = 0)
stopifnot(is.numeric(regressor$fit(X, as.numeric(species))$predict(X)))

scenes <- datasets$make_scenes(6, image_size = 32, n_kinds = 2, count = c(1, 3), random_state = 0)
segmenter <- skcnn$ConvNetSegmenter(max_epochs = 1, random_state = 0)
masks <- segmenter$fit(scenes$data, scenes$masks)$predict(scenes$data)
stopifnot(identical(dim(masks), c(6L, 32L, 32L)))
cat("done\n")
