# Images and labels as R has them, and results as R gets them.
library(reticulate)
source("fails.R")
skcnn <- import("skcnn")
datasets <- import("skcnn.datasets")
folder <- commandArgs(trailingOnly = TRUE)[1]

images <- datasets$make_organisms(60, n_classes = 3, image_size = 16, random_state = 0)
X <- images[[1]]
species <- factor(c("bee", "fly", "wasp"))[as.vector(images[[2]]) + 1]
classifier <- function(...) {
  skcnn$ConvNetClassifier(filters = c(8, 16), max_epochs = 3, random_state = 0, ...)
}

# Factors, text, numbers and logical values are labels, and come back as such.
clf <- classifier()$fit(X, species)
guess <- clf$predict(X)
stopifnot(is.character(guess), all(guess %in% levels(species)), clf$classes_ == levels(species))
stopifnot(all.equal(clf$score(X, species), mean(guess == species)))
p <- clf$predict_proba(X)
stopifnot(identical(dim(p), c(60L, 3L)), all.equal(rowSums(p), rep(1, 60), tolerance = 1e-6))
stopifnot(identical(as.vector(guess), as.vector(clf$classes_)[apply(p, 1, which.max)]))
stopifnot(identical(classifier()$fit(X, as.character(species))$predict_proba(X), p))
stopifnot(identical(classifier()$fit(X, as.integer(species))$predict_proba(X), p))
stopifnot(is.logical(classifier()$fit(X, species == "bee")$predict(X)))
weights <- list("1" = 2, "2" = 1, "3" = 1)  # names are text, the labels are numbers
classifier(class_weight = weights)$fit(X, as.integer(species))

# Doubles between 0 and 1, as readJPEG returns them; Fortran order; one image.
Z <- X / 255
scaled <- classifier()$fit(Z, species)
stopifnot(identical(dim(scaled$predict_proba(Z)), c(60L, 3L)))
stopifnot(is.character(scaled$predict(Z[1, , , , drop = FALSE])))
fails(scaled$predict(Z[1, , , ]), "drop = FALSE")
stopifnot(identical(scaled$predict(lapply(1:5, function(i) Z[i, , , ])), scaled$predict(Z[1:5, , , ])))

# NA.
without <- function(values) { values[3] <- NA; values }
fails(classifier()$fit(X, without(species)), "y has 'NA' in 1 row.* NA, a missing value")
fails(classifier()$fit(X, without(as.character(species))), "y has 'NA'")
fails(classifier()$fit(X, without(as.integer(species))), "y has -2147483648")
fails(classifier()$fit(X, without(as.numeric(species))), "NaN")
fails(classifier()$fit(without(X), species), "X has -2147483648")

# Files.
dir.create(folder, showWarnings = FALSE)
paths <- file.path(folder, sprintf("image%02d.jpg", 1:60))
for (i in 1:60) jpeg::writeJPEG(Z[i, , , ], paths[i], quality = 1)
clf <- classifier()$fit(paths, species)
stopifnot(length(clf$predict(paths)) == 60, length(clf$predict(paths[1])) == 1)
stopifnot(clf$score(paths[1], clf$predict(paths[1])) == 1)
read <- lapply(paths, jpeg::readJPEG)
stopifnot(length(classifier()$fit(read, species)$predict(read)) == 60)
fails(clf$predict(c(paths[1], NA)), "row 1: NA does not exist: this is how R hands over NA")
writeLines("no image", broken <- file.path(folder, "broken.jpg"))
fails(clf$predict(broken), "broken.jpg is not an image")
clf$set_params(on_error = "skip")
p <- suppressWarnings(clf$predict_proba(c(paths[1], broken)))
stopifnot(all(is.nan(p[2, ])), !anyNA(p[1, ]))

# Models and pictures.
skcnn$save(clf, file.path(folder, "bees.skcnn"))
again <- skcnn$load(file.path(folder, "bees.skcnn"))
stopifnot(identical(again$predict_proba(paths), clf$predict_proba(paths)))
inspection <- import("skcnn.inspection")
display <- inspection$PredictionsDisplay$from_estimator(clf, paths, species, max_images = 6)
display$figure_$savefig(file.path(folder, "predictions.png"))
stopifnot(file.size(file.path(folder, "predictions.png")) > 5000)
inspection$ConfusionDisplay$from_estimator(clf, paths, as.character(species))
maps <- inspection$grad_cam(clf, paths[1:2])
stopifnot(identical(dim(maps), c(2L, 16L, 16L)))
cat("done\n")
