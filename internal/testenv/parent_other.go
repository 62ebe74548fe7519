//go:build !linux

package testenv

import "syscall"

// endWithParent does nothing: only Linux can. A process that is killed leaves its servers behind.
func endWithParent(*syscall.SysProcAttr, syscall.Signal) {}
