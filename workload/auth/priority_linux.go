package auth

import "syscall"

// helperNice makes a helper give way a little. Much lower priorities cost logins more than they give reads: the kernel weighs
// processors by priority, finds two helpers of nice 10 on one and none on the other well balanced, and leaves them there.
const helperNice = 3

// standBehind lowers the priority of the calling thread. Nobody needs a right for that; where it is refused all the same, the
// thread is as important as any other.
func standBehind() { _ = syscall.Setpriority(syscall.PRIO_PROCESS, syscall.Gettid(), helperNice) }

func onFirstThread() bool { return syscall.Gettid() == syscall.Getpid() }
