// Package config holds every setting of callvault, in one struct whose fields are both flags and
// CALLVAULT_ variables.
//
// A flag takes precedence over the variable, and the variable over the default. A secret can also
// be read from a file, named by the variable with _FILE added. An empty variable counts as unset.
// All mistakes are reported together, each with its variable and with what would be right.
//
// The package reads no clock and opens no files but those of secrets. It does not try whether a
// part can be reached.
package config
