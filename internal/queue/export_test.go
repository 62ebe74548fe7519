package queue

// NeededCommands is for tests.
func NeededCommands() []string { return neededCommands() }
