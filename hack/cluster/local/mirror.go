package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// Mirror keeps a copy of all objects of one kind, by listing and then watching them.
type Mirror[T any] struct {
	cluster *Cluster
	path    string
	changed chan<- struct{}

	mu      sync.Mutex
	objects map[string]T // by namespace/name
	whole   bool
}

// NewMirror begins to mirror the objects of a path such as /api/v1/pods, until the context ends. Each time the copy has
// changed, changed gets a word if it has room: give it room for one.
func NewMirror[T any](ctx context.Context, c *Cluster, path string, changed chan<- struct{}) *Mirror[T] {
	m := &Mirror[T]{cluster: c, path: path, changed: changed}
	go m.run(ctx)
	return m
}

// Objects are the copies in the order of their names, and whether the copy is complete.
func (m *Mirror[T]) Objects() ([]T, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []T
	for _, name := range slices.Sorted(maps.Keys(m.objects)) {
		all = append(all, m.objects[name])
	}
	return all, m.whole
}

func (m *Mirror[T]) run(ctx context.Context) {
	for {
		err := m.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "following %s begins again: %v\n", m.path, err)
			time.Sleep(time.Second)
		}
	}
}

// follow lists once and watches until the API server ends it, which it does every now and then.
func (m *Mirror[T]) follow(ctx context.Context) error {
	version, err := m.list(ctx)
	if err != nil {
		return err
	}
	client, err := m.cluster.client(0)
	if err != nil {
		return err
	}
	defer client.client.CloseIdleConnections()
	response, err := client.ask(ctx, http.MethodGet, m.path+"?watch=1&resourceVersion="+version, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	for events := json.NewDecoder(response.Body); ; {
		var e watchEvent
		if err := events.Decode(&e); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := m.take(e); err != nil {
			return err
		}
	}
}

type watchEvent struct {
	Type   string          `json:"type"`
	Object json.RawMessage `json:"object"`
}

func (m *Mirror[T]) list(ctx context.Context) (version string, err error) {
	var list struct {
		Metadata struct {
			ResourceVersion string `json:"resourceVersion"`
		} `json:"metadata"`
		Items []json.RawMessage `json:"items"`
	}
	if err := m.cluster.Get(ctx, m.path, &list); err != nil {
		return "", err
	}
	objects := map[string]T{}
	for _, item := range list.Items {
		name, object, err := decode[T](item)
		if err != nil {
			return "", err
		}
		objects[name] = object
	}
	m.mu.Lock()
	m.objects, m.whole = objects, true
	m.mu.Unlock()
	m.tell()
	return list.Metadata.ResourceVersion, nil
}

// take applies one event of a watch.
func (m *Mirror[T]) take(e watchEvent) error {
	if e.Type == "ERROR" {
		return fmt.Errorf("the watch ended: %.300s", e.Object)
	}
	name, object, err := decode[T](e.Object)
	if err != nil {
		return err
	}
	m.mu.Lock()
	if e.Type == "DELETED" {
		delete(m.objects, name)
	} else {
		m.objects[name] = object
	}
	m.mu.Unlock()
	m.tell()
	return nil
}

func (m *Mirror[T]) tell() {
	select {
	case m.changed <- struct{}{}:
	default: // a word waits already
	}
}

// decode reads an object and the name that it is kept under.
func decode[T any](raw json.RawMessage) (name string, object T, err error) {
	var header struct {
		Metadata struct {
			Namespace string `json:"namespace"`
			Name      string `json:"name"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal(raw, &header); err != nil {
		return "", object, err
	}
	err = json.Unmarshal(raw, &object)
	return strings.TrimPrefix(header.Metadata.Namespace+"/"+header.Metadata.Name, "/"), object, err
}
