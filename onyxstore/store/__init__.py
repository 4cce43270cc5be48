"""The facade (Store, Run, Commit, Checkpoint) and its verbs. Imports frameworks, history, disk and the ground."""
