package testenv

import "syscall"

// endWithParent lets the kernel send a signal to a process when the one that started it ends.
func endWithParent(attr *syscall.SysProcAttr, sig syscall.Signal) { attr.Pdeathsig = sig }
