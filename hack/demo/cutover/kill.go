package cutover

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// KillOperator sends SIGKILL to the process of the operator that leads. It returns the pod's name.
func (c *Cluster) KillOperator(ctx context.Context) (string, error) {
	pod, err := c.leader(ctx)
	if err != nil {
		return "", err
	}
	return pod.Name, killPod(pod)
}

// KillPod sends SIGKILL to the processes of one ready pod of a component of the demo's instance.
func (c *Cluster) KillPod(ctx context.Context, component, color string) (string, error) {
	pod, err := c.readyPod(ctx, component, color)
	if err != nil {
		return "", err
	}
	return pod.Name, killPod(pod)
}

// DeletePod deletes one ready pod of a component of the demo's instance, as a drain of its node would.
func (c *Cluster) DeletePod(ctx context.Context, component, color string) (string, error) {
	pod, err := c.readyPod(ctx, component, color)
	if err != nil {
		return "", err
	}
	return pod.Name, c.Delete(ctx, pod)
}

func (c *Cluster) readyPod(ctx context.Context, component, color string) (*corev1.Pod, error) {
	var pods corev1.PodList
	labels := client.MatchingLabels{
		"app.kubernetes.io/instance": Name, "app.kubernetes.io/component": component, "englog.io/color": strings.ToLower(color),
	}
	if err := c.List(ctx, &pods, client.InNamespace(Namespace), labels); err != nil {
		return nil, fmt.Errorf("listing %s pods: %w", component, err)
	}
	for i := range pods.Items {
		if p := &pods.Items[i]; p.DeletionTimestamp == nil && ready(p) {
			return p, nil
		}
	}
	return nil, fmt.Errorf("none of %d %s %s pods is ready", len(pods.Items), color, component)
}

func ready(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// killPod kills the processes of a pod's containers on this machine; they restart in place, as after a crash.
func killPod(pod *corev1.Pod) error {
	pids, err := processesOf(os.DirFS("/proc"), containerIDs(pod))
	if err != nil {
		return err
	}
	if len(pids) == 0 {
		return fmt.Errorf("pod %s/%s has no process on this machine", pod.Namespace, pod.Name)
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			return fmt.Errorf("killing process %d of pod %s/%s: %w", pid, pod.Namespace, pod.Name, err)
		}
	}
	return nil
}

// ActiveColor is the color that serves now.
func (c *Cluster) ActiveColor(ctx context.Context) (string, error) {
	i, err := c.get(ctx)
	if err != nil {
		return "", err
	}
	if i.Status.Active == nil {
		return "", errors.New("the instance has no active revision")
	}
	return string(i.Status.Active.Color), nil
}
