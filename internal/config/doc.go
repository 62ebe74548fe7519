// Package config holds every setting of callvault: one struct whose fields are at once flags
// and CALLVAULT_ variables.
//
// A flag outranks the variable, the variable the default. Every secret can also come from a file
// named by the variable with _FILE behind its name. An empty variable counts as unset.
// All mistakes are collected and reported together, each with its variable and what would be right.
//
// The package reads no clock and opens nothing but the _FILE secrets; whether a part can be
// reached is found out by whoever connects to it.
package config
