package rig

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
)

// kubeletAgent is the user agent of the fake kubelet, so that it can be told from what is tested.
const kubeletAgent = "rig-kubelet"

// A Kubelet stands in for the scheduler and for the kubelets of all nodes: it binds pods and reports what the rules say.
type Kubelet struct {
	clientset kubernetes.Interface
	pods      corelisters.PodLister
	queue     workqueue.TypedRateLimitingInterface[types.NamespacedName]
	rules     rulebook
	nodes     []string
	done      sync.WaitGroup

	mu    sync.Mutex // guards what follows
	hosts int        // pod addresses given out
	bound map[types.UID]placement
}

// A placement is what the kubelet remembers of a pod that it has bound.
type placement struct {
	ip string
	at time.Time
}

func startKubelet(ctx context.Context, config *rest.Config, nodes int) (*Kubelet, error) {
	config = rest.CopyConfig(config)
	config.UserAgent = kubeletAgent
	clientset, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make the kubelet's client: %w", err)
	}
	k := &Kubelet{
		clientset: clientset,
		queue:     workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[types.NamespacedName]()),
		bound:     map[types.UID]placement{},
	}
	if err := k.createNodes(ctx, nodes); err != nil {
		return nil, err
	}
	factory := informers.NewSharedInformerFactory(clientset, 0)
	k.pods = factory.Core().V1().Pods().Lister()
	if _, err := factory.Core().V1().Pods().Informer().AddEventHandler(k.handler()); err != nil {
		return nil, fmt.Errorf("watch pods: %w", err)
	}
	factory.StartWithContext(ctx)
	factory.WaitForCacheSyncWithContext(ctx)
	k.run(ctx)
	return k, nil
}

func (k *Kubelet) handler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    k.enqueue,
		UpdateFunc: func(_, now any) { k.enqueue(now) },
		DeleteFunc: k.enqueue,
	}
}

func (k *Kubelet) enqueue(object any) {
	if name, err := cache.DeletionHandlingObjectToName(object); err == nil {
		k.queue.Add(types.NamespacedName{Namespace: name.Namespace, Name: name.Name})
	}
}

// syncAll looks at every pod again: the rules have changed.
func (k *Kubelet) syncAll() {
	pods, err := k.pods.List(labels.Everything())
	if err != nil { // a lister over a cache has no errors
		panic(err)
	}
	for _, pod := range pods {
		k.enqueue(pod)
	}
}

// run works on the queue with a few workers until the context ends.
func (k *Kubelet) run(ctx context.Context) {
	context.AfterFunc(ctx, k.queue.ShutDown)
	for range 4 {
		k.done.Go(func() {
			for {
				key, shutdown := k.queue.Get()
				if shutdown {
					return
				}
				k.work(ctx, key)
			}
		})
	}
}

func (k *Kubelet) wait() { k.done.Wait() }

func (k *Kubelet) work(ctx context.Context, key types.NamespacedName) {
	defer k.queue.Done(key)
	pod, err := k.pods.Pods(key.Namespace).Get(key.Name)
	if apierrors.IsNotFound(err) {
		k.queue.Forget(key)
		return
	}
	again, err := k.sync(ctx, pod.DeepCopy())
	switch {
	case err == nil || apierrors.IsNotFound(err):
		k.queue.Forget(key)
	default: // a conflict, mostly: the newer state is on its way
		k.queue.AddRateLimited(key)
	}
	if again > 0 {
		k.queue.AddAfter(key, again)
	}
}

// sync brings one pod a step further and says when to look again; 0 is: when it changes.
func (k *Kubelet) sync(ctx context.Context, pod *corev1.Pod) (time.Duration, error) {
	rule := k.rules.forPod(pod)
	switch {
	case pod.DeletionTimestamp != nil:
		return k.terminate(ctx, pod, rule)
	case pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed:
		return 0, nil
	case pod.Spec.NodeName == "" && rule.Fault == Unschedulable:
		return 0, k.report(ctx, pod, unschedulable(pod.Status))
	case pod.Spec.NodeName == "":
		return 0, k.bind(ctx, pod)
	}
	place := k.place(pod)
	age := time.Since(place.at)
	return max(rule.Delay-age, 0), k.report(ctx, pod, statusOf(pod, rule, place, age >= rule.Delay))
}

// bind puts a pod on one of the nodes in turn, as the scheduler would.
func (k *Kubelet) bind(ctx context.Context, pod *corev1.Pod) error {
	k.mu.Lock()
	node := k.nodes[k.hosts%len(k.nodes)]
	k.mu.Unlock()
	return k.clientset.CoreV1().Pods(pod.Namespace).Bind(ctx, &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
		Target:     corev1.ObjectReference{Kind: "Node", Name: node},
	}, metav1.CreateOptions{})
}

// place remembers when a pod was first seen bound, and gives it an address. Loopback would not do: EndpointSlices
// refuse it.
func (k *Kubelet) place(pod *corev1.Pod) placement {
	k.mu.Lock()
	defer k.mu.Unlock()
	if place, known := k.bound[pod.UID]; known {
		return place
	}
	k.hosts++
	place := placement{ip: fmt.Sprintf("10.244.%d.%d", k.hosts/250%250, k.hosts%250+2), at: time.Now()}
	k.bound[pod.UID] = place
	return place
}

func (k *Kubelet) report(ctx context.Context, pod *corev1.Pod, status corev1.PodStatus) error {
	if equality.Semantic.DeepEqual(pod.Status, status) {
		return nil
	}
	pod.Status = status
	_, err := k.clientset.CoreV1().Pods(pod.Namespace).UpdateStatus(ctx, pod, metav1.UpdateOptions{})
	return err
}

// terminate ends a pod that was deleted, after the rule's grace; the pod turns unready first, as a drain shows itself.
func (k *Kubelet) terminate(ctx context.Context, pod *corev1.Pod, rule Rule) (time.Duration, error) {
	if rule.Stuck {
		return 0, nil
	}
	asked := time.Duration(*pod.DeletionGracePeriodSeconds) * time.Second
	deleted := pod.DeletionTimestamp.Add(-asked)
	if left := min(rule.Grace, asked) - time.Since(deleted); left > 0 {
		return left, k.report(ctx, pod, unready(pod.Status))
	}
	now := int64(0)
	err := k.clientset.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{
		GracePeriodSeconds: &now, Preconditions: metav1.NewUIDPreconditions(string(pod.UID)),
	})
	if err == nil {
		k.mu.Lock()
		delete(k.bound, pod.UID)
		k.mu.Unlock()
	}
	return 0, err
}

// createNodes makes the Node objects: the EndpointSlice controller skips pods whose node it does not know.
func (k *Kubelet) createNodes(ctx context.Context, count int) error {
	for number := range count {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{
			Name:   fmt.Sprintf("node-%d", number),
			Labels: map[string]string{corev1.LabelHostname: fmt.Sprintf("node-%d", number), corev1.LabelTopologyZone: fmt.Sprintf("zone-%d", number)},
		}}
		created, err := k.clientset.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{})
		if err != nil {
			return fmt.Errorf("make %s: %w", node.Name, err)
		}
		room := corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse("64"), corev1.ResourceMemory: resource.MustParse("256Gi"), corev1.ResourcePods: resource.MustParse("1000"),
		}
		created.Status.Capacity, created.Status.Allocatable = room, room
		created.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: nodeIP(number)}}
		created.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "Rig"}}
		if _, err := k.clientset.CoreV1().Nodes().UpdateStatus(ctx, created, metav1.UpdateOptions{}); err != nil {
			return fmt.Errorf("report %s ready: %w", node.Name, err)
		}
		k.nodes = append(k.nodes, node.Name)
	}
	return nil
}

func nodeIP(number int) string { return fmt.Sprintf("10.88.0.%d", number+1) }
