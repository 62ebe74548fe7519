package webhooks

// SealedAbout is what an endpoint's secrets are sealed for, for whoever changes the master key.
func SealedAbout(endpoint string) string { return about(endpoint) }
