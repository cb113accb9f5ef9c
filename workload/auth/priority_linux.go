package auth

import "syscall"

// hasherNice makes a hasher give way a little. Much lower priorities cost logins more than they give reads: the kernel weighs
// processors by priority, finds two hashers of nice 10 on one and none on the other well balanced, and leaves them there.
const hasherNice = 3

// standBehind lowers the priority of the calling thread. Nobody needs a right for that; where it is refused all the same, the
// thread is as important as any other.
func standBehind() { _ = syscall.Setpriority(syscall.PRIO_PROCESS, syscall.Gettid(), hasherNice) }

func onFirstThread() bool { return syscall.Gettid() == syscall.Getpid() }
