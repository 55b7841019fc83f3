# Expect an error whose message has a pattern.
fails <- function(code, pattern) {
  message <- tryCatch({ code; "nothing failed" }, error = conditionMessage)
  if (!grepl(pattern, message)) stop("expected an error with ", pattern, ", got: ", message)
}
