# Data frames in and out, and the tools of scikit-learn.
library(reticulate)
source("fails.R")
skcnn <- import("skcnn")
datasets <- import("skcnn.datasets")
selection <- import("sklearn.model_selection")
uncertainty <- import("skcnn.uncertainty")
folder <- commandArgs(trailingOnly = TRUE)[1]

images <- datasets$make_organisms(60, n_classes = 3, image_size = 16, random_state = 0)
photos <- data.frame(
  label = factor(c("bee", "fly", "wasp"))[as.vector(images[[2]]) + 1],
  site = factor(rep(c("north", "south", "east"), 20)),
  elevation = seq(100, 690, 10),
  visits = 1:60,
  wet = rep(c(TRUE, FALSE), 30),
  when = as.POSIXct("2026-05-01 06:00", tz = "UTC") + 20 * (1:60)
)
for (site in levels(photos$site)) dir.create(file.path(folder, site), recursive = TRUE)
photos$path <- file.path(folder, photos$site, sprintf("image%02d.jpg", 1:60))
for (i in 1:60) jpeg::writeJPEG(images[[1]][i, , , ] / 255, photos$path[i])
classifier <- function(...) {
  skcnn$ConvNetClassifier(filters = c(8, 16), max_epochs = 1, random_state = 0, ...)
}

# A table of paths, and of columns beside them.
stopifnot(length(classifier()$fit(photos["path"], photos$label)$predict(photos["path"])) == 60)
columns <- photos[c("path", "site", "elevation", "visits", "wet")]
clf <- classifier()$fit(columns, photos$label)
stopifnot(length(clf$predict(columns[1:5, ])) == 5)
columns$visits[2] <- NA
fails(classifier()$fit(columns, photos$label), "Column 'visits' .* as.numeric in R")
columns$visits <- as.numeric(columns$visits)
columns$elevation[3] <- NA
classifier()$fit(columns, photos$label)

# Loaders take a data frame, and return one.
table <- datasets$load_image_table(photos, group = "site", time = "when")
stopifnot(is.data.frame(table$frame), nrow(table$frame) == 60)
stopifnot(identical(as.vector(table$target), as.character(photos$label)))
stopifnot(identical(as.vector(table$groups), as.character(photos$site)))
bursts <- datasets$group_by_time(table$frame, gap = "60s")
stopifnot(length(unique(as.vector(bursts))) == 3)
unlabeled <- photos
unlabeled$label[5] <- NA
stopifnot(length(datasets$load_image_table(unlabeled)$target) == 59)
from_folders <- datasets$load_image_folder(folder, label = 0)
stopifnot(all(from_folders$target %in% levels(photos$site)))

# Results are data frames.
stopifnot(is.data.frame(clf$history_), nrow(clf$history_) == 1)
answers <- skcnn$ConvNetMultiTask(
  tasks = list(label = "classification", elevation = "squared_error"),
  filters = c(8, 16), max_epochs = 1, random_state = 0
)
partly <- photos[c("label", "elevation")]
partly$label[2] <- NA
partly$elevation[4] <- NA
answers <- answers$fit(photos$path, partly)$predict(photos$path)
stopifnot(is.data.frame(answers), nrow(answers) == 60, is.numeric(answers$elevation))
clf <- classifier()$fit(photos$path, photos$label)
p <- clf$predict_proba(photos$path)
review <- uncertainty$review_table(photos$label, p, classes = levels(photos$label))
stopifnot(is.data.frame(review), all(review$to_check <= 1))
interval <- uncertainty$bootstrap_interval(
  as.character(photos$label), clf$predict(photos$path),
  groups = as.character(photos$site), n_resamples = 100, random_state = 0
)
stopifnot(interval$low <= interval$estimate, interval$estimate <= interval$high)
datasets$write_predictions(file.path(folder, "predictions.csv"), clf, photos["path"])
stopifnot(nrow(read.csv(file.path(folder, "predictions.csv"))) == 60)

# The tools of scikit-learn want 3L for whole numbers of their own.
search <- selection$GridSearchCV(
  classifier(), list(filters = list(c(8, 16), c(4, 8, 16)), lr = c(0.01, 0.1)), cv = 2L
)
search$fit(photos$path, photos$label)
stopifnot(setequal(names(search$best_params_), c("filters", "lr")))
found <- skcnn$search_report(search)$frame
stopifnot(is.data.frame(found), nrow(found) == 4)
scores <- selection$cross_val_score(
  classifier(), photos$path, photos$label,
  groups = as.character(photos$site), cv = selection$GroupKFold(3L)
)
stopifnot(length(scores) == 3)
cat("done\n")
