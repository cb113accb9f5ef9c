package rig

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// controllerManagerGrace is how long the controller-manager may take to stop before it is killed.
const controllerManagerGrace = 10 * time.Second

type controllerManager struct {
	command *exec.Cmd
	log     *os.File
	done    chan struct{}
}

// startControllerManager runs kube-controller-manager as cluster administrator. Its log is in dir.
func startControllerManager(assets, dir string, kubeConfig []byte) (*controllerManager, error) {
	path := filepath.Join(dir, "controller-manager.kubeconfig")
	if err := os.WriteFile(path, kubeConfig, 0o600); err != nil {
		return nil, fmt.Errorf("write a kubeconfig: %w", err)
	}
	log, err := os.Create(filepath.Join(dir, "kube-controller-manager.log"))
	if err != nil {
		return nil, fmt.Errorf("make a log file: %w", err)
	}
	command := exec.Command(filepath.Join(assets, "kube-controller-manager"), controllerManagerArguments(path)...)
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start kube-controller-manager: %w", err), log.Close())
	}
	m := &controllerManager{command: command, log: log, done: make(chan struct{})}
	go func() {
		_ = command.Wait() // it exits non-zero when told to stop; that is no failure
		close(m.done)
	}()
	return m, nil
}

func controllerManagerArguments(kubeConfig string) []string {
	return []string{
		"--kubeconfig=" + kubeConfig,
		"--authentication-kubeconfig=" + kubeConfig,
		"--authorization-kubeconfig=" + kubeConfig,
		"--leader-elect=false",
		"--secure-port=0",
		// Its default of 20 requests a second makes a start seven seconds slower.
		"--kube-api-qps=500", "--kube-api-burst=500",
		// Fake nodes send no heartbeats; nobody shall evict their pods for that.
		"--controllers=*,-node-lifecycle-controller,-taint-eviction-controller,-node-ipam-controller",
		// Endpoints follow a pod's readiness at once instead of in half-second batches.
		"--endpointslice-updates-batch-period=0s",
	}
}

func (m *controllerManager) stop() error {
	if err := m.command.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop kube-controller-manager: %w", err)
	}
	select {
	case <-m.done:
	case <-time.After(controllerManagerGrace):
		if err := m.command.Process.Kill(); err != nil {
			return fmt.Errorf("kill kube-controller-manager: %w", err)
		}
		<-m.done
	}
	return m.log.Close()
}
