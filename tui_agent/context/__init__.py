"""What the model sees, and what a person sees of it: conversation, message history, request, compaction."""
