package probe

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/garnizeh/englog-operator/controllers/plan"
)

// The numbers of notices: a pod that does not listen within a second and a half is not worth waiting for, its connections end by their
// age; and 20 pods have to be told within 200 ms.
const (
	noticeTimeout = time.Second
	noticePath    = "/retire"
	maxNotices    = 64
)

var noticePauses = []time.Duration{0, 100 * time.Millisecond, 300 * time.Millisecond}

// noticeBoard remembers what each pod has been told, and tells it what is new. A pod has one messenger at most, so that a late "retire"
// never overtakes a "welcome back".
type noticeBoard struct {
	ask      Asker
	sending  chan struct{}
	underWay *sync.WaitGroup
	mu       sync.Mutex
	// ctx is nil before the start.
	ctx  context.Context
	pods map[types.NamespacedName]map[podIdentity]*podNotice
}

// podIdentity tells a pod from a later one of the same name.
type podIdentity struct{ name, ip string }

// podNotice is guarded by the board's lock.
type podNotice struct {
	// want is what the pod is to be told, told what it has been, or what was given up; busy while a messenger is on the way.
	want, told method
	busy       bool
}

// method is the request that brings a state about; empty for none yet.
type method string

func newNoticeBoard(ask Asker, underWay *sync.WaitGroup) *noticeBoard {
	return &noticeBoard{
		ask: ask, underWay: underWay, sending: make(chan struct{}, maxNotices),
		pods: map[types.NamespacedName]map[podIdentity]*podNotice{},
	}
}

func (b *noticeBoard) start(ctx context.Context) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ctx = ctx
	for key, pods := range b.pods {
		for id, pod := range pods {
			b.dispatch(key.Namespace, id, pod)
		}
	}
}

// stop lets no further messenger leave; the context of start has ended.
func (b *noticeBoard) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.pods)
}

// post takes the notices that hold now. Pods that are no longer listed are forgotten.
func (b *noticeBoard) post(key types.NamespacedName, notices []plan.Notice) {
	b.mu.Lock()
	defer b.mu.Unlock()
	listed := make(map[podIdentity]*podNotice, len(notices))
	for _, n := range notices {
		id := podIdentity{n.Pod, n.IP}
		pod := b.pods[key][id]
		if pod == nil {
			pod = &podNotice{}
		}
		pod.want = methodFor(n.Retire)
		listed[id] = pod
		b.dispatch(key.Namespace, id, pod)
	}
	if len(listed) == 0 {
		delete(b.pods, key)
		return
	}
	b.pods[key] = listed
}

func methodFor(retire bool) method {
	if retire {
		return http.MethodPost
	}
	return http.MethodDelete
}

// dispatch is called with the lock held.
func (b *noticeBoard) dispatch(namespace string, id podIdentity, pod *podNotice) {
	if pod.busy || pod.told == pod.want || b.ctx == nil || b.ctx.Err() != nil {
		return
	}
	pod.busy = true
	b.underWay.Add(1)
	go func() {
		defer b.underWay.Done()
		for m := b.next(pod); m != ""; m = b.next(pod) {
			b.deliver(namespace, id, m)
		}
	}()
}

// next returns what the pod is to be told now, or dismisses the messenger.
func (b *noticeBoard) next(pod *podNotice) method {
	b.mu.Lock()
	defer b.mu.Unlock()
	if pod.told == pod.want || b.ctx.Err() != nil {
		pod.busy = false
		return ""
	}
	pod.told = pod.want
	return pod.want
}

// deliver tells a pod, in a few tries. A pod that does not listen is left alone.
func (b *noticeBoard) deliver(namespace string, id podIdentity, m method) {
	for _, pause := range noticePauses {
		select {
		case <-time.After(pause):
		case <-b.ctx.Done():
			return
		}
		if b.send(namespace, id, m) == nil {
			return
		}
	}
}

func (b *noticeBoard) send(namespace string, id podIdentity, m method) error {
	select {
	case b.sending <- struct{}{}:
		defer func() { <-b.sending }()
	case <-b.ctx.Done():
		return nil
	}
	ctx, cancel := context.WithTimeout(b.ctx, noticeTimeout)
	defer cancel()
	answer, err := b.ask.Ask(ctx, namespace, string(m), plan.Address{Pod: id.name, IP: id.ip, Port: adminPort, Path: noticePath})
	if err == nil && answer.Status >= 300 {
		return fmt.Errorf("answered %d", answer.Status)
	}
	return err
}
