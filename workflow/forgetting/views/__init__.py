"""The four views on forgetting (science §5): performance, loss landscape, weight update and features.

`landscape`, `weights` and `features` read checkpoints; `inputs`, `subspaces` and `probe` are what they share. `performance` and
`spurious` read metrics only and import no torch.
"""
