//go:build !linux

package testenv

import "syscall"

// endWithParent does nothing: only Linux can. The reaper ends the servers.
func endWithParent(*syscall.SysProcAttr, syscall.Signal) {}
