// Package app starts callvault's parts, keeps them running and stops them in order.
//
// It holds the lifecycle (Group), the HTTP listener, health answers, and the data directory's
// lock and runtime file. What the parts do is their own packages' business.
package app
