"""The commands: their arguments and what they say; all else is loaded when a command needs it."""
