# From a folder of photographs to a confusion matrix and a data frame for ggplot2:
#   Rscript photographs.R FOLDER
# FOLDER has a folder per site, and in each of them a folder per species.
library(reticulate)
skcnn <- import("skcnn")
folder <- commandArgs(trailingOnly = TRUE)[1]

files <- list.files(folder, "[.](jpe?g|png)$", recursive = TRUE,
                    full.names = TRUE, ignore.case = TRUE)
photos <- data.frame(path = files)
photos$species <- basename(dirname(photos$path))
photos$site <- basename(dirname(dirname(photos$path)))
test <- photos$site == min(photos$site)  # training never sees this site

clf <- skcnn$ConvNetClassifier(filters = c(16, 32, 64), max_epochs = 20,
                               image_shape = c(32, 32, 3), random_state = 1)
clf$fit(photos$path[!test], photos$species[!test])

photos <- photos[test, ]
photos$predicted <- as.vector(clf$predict(photos$path))
photos$probability <- apply(clf$predict_proba(photos$path), 1, max)
write.csv(photos, "predictions.csv", row.names = FALSE)

confusion <- table(actual = photos$species, predicted = photos$predicted)
print(confusion)
cells <- as.data.frame(confusion, responseName = "n")  # one row per cell
cells$share <- cells$n / ave(cells$n, cells$actual, FUN = sum)
