"""One training loop for every stage: batches, loss, optimizer, schedule, resuming."""
