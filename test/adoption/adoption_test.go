// Package adoption takes an installation over that was made from the original document's manifests, on the real node and under load, by the very
// commands of docs/how-to/adopt.md. It sees what users and administrators see and must import neither controllers nor workload.
package adoption

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/hack/demo/cutover"
	"github.com/garnizeh/englog-operator/test/load"
	"github.com/garnizeh/englog-operator/test/node"
)

// old is what the document's pods, which nobody has told a revision, say in X-Englog-Revision.
const old = "none"

// TestAdoption walks through the page. The blocks of each of its parts are run as they stand there.
func TestAdoption(t *testing.T) {
	node.Need(t)
	t.Log("covers X41 X42 X70 X71 X88")
	r := newRig(t)
	page := readPage(t)
	report, entries := node.UnderLoad(t, r.cfg, r.accounts, func() {
		r.run(t, page, "2. A role of its own", "3. The Secret", "4. The instance")
		if revision, err := r.answer(t.Context()); err != nil || revision != old {
			t.Errorf("before the traffic is moved, %q answers: %v", revision, err)
		}
		r.run(t, page, "5. Move the traffic")
		r.moved(t)
		r.run(t, page, "6. Take the old installation away")
		r.gone(t)
	})
	now := r.active(t)
	for _, revision := range []string{old, now} {
		if spans := report.By[revision]; spans["fresh"].Answers == 0 || spans["keep_alive"].Answers == 0 {
			t.Errorf("revision %q did not answer on both kinds of connections: %+v", revision, spans)
		}
	}
	if len(report.By) != 2 {
		t.Errorf("who answered: %v", report.By)
	}
	r.account(t, entries)
}

// run executes the blocks below some headings.
func (r *rig) run(t *testing.T, page map[string][]block, headings ...string) {
	t.Helper()
	for _, heading := range headings {
		if len(page[heading]) == 0 {
			t.Fatalf("the page has no blocks below %q", heading)
		}
		for _, b := range page[heading] {
			begun := time.Now()
			r.execute(t, b)
			t.Logf("%s: %s in %.1f s", heading, b.language, time.Since(begun).Seconds())
		}
	}
}

// moved waits until nobody but the instance answers.
func (r *rig) moved(t *testing.T) {
	t.Helper()
	now := r.active(t)
	err := cutover.Await(t.Context(), time.Minute, "answers of the instance alone", func(ctx context.Context) (bool, string, error) {
		for range 20 {
			if revision, err := r.answer(ctx); err != nil || revision != now {
				return false, revision + " answers", err
			}
		}
		return true, "", nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// gone waits until nothing of the original is left but what stays, and lets the load go on for a while without it.
func (r *rig) gone(t *testing.T) {
	t.Helper()
	err := cutover.Await(t.Context(), 2*time.Minute, "the old pods to be gone", func(ctx context.Context) (bool, string, error) {
		left, err := r.Kubectl(ctx, "-n", namespace, "get", "deployments,hpa,services,configmaps,pods", "-o", "name", "-l", "app in (englog-api, englog-worker)")
		return err == nil && left == "", left, err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []client.Object{
		&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "englog-api"}}, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "englog-config"}},
	} {
		if err := r.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: o.GetName()}, o); !apierrors.IsNotFound(err) {
			t.Errorf("%T %s is there: %v", o, o.GetName(), err)
		}
	}
	ingress := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "englog-ingress"}}
	if err := r.Get(t.Context(), client.ObjectKeyFromObject(ingress), ingress); err != nil || len(ingress.OwnerReferences) > 0 {
		t.Errorf("the Ingress is not the user's any more: %v %v", ingress.OwnerReferences, err)
	}
	<-time.After(5 * time.Second) // a length of load, not a condition
}

// account looks for everything that was acknowledged, by the old pods and by the new.
func (r *rig) account(t *testing.T, entries []load.Entry) {
	t.Helper()
	check, err := load.CheckEntries(t.Context(), r.cfg, load.CheckConfig{Database: r.admin, Within: 2 * time.Minute}, entries, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d entries, %d lost; %d tasks, %d lost, %d run twice", check.Entries, check.LostEntries, check.Tasks, check.LostTasks, check.DuplicateRuns)
	if check.Entries == 0 || check.LostEntries+check.LostTasks+check.DuplicateRuns > 0 {
		t.Errorf("lost or repeated: %+v", check)
	}
}

// active is the revision of the instance.
func (r *rig) active(t *testing.T) string {
	t.Helper()
	i := &v1alpha1.EngLogInstance{}
	if err := r.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: namespace}, i); err != nil || i.Status.Active == nil {
		t.Fatal(fmt.Errorf("no active revision: %w", err))
	}
	return i.Status.Active.Revision
}

// A block is one of the page's, by the language that its fence names.
type block struct{ language, text string }

// blocks are those below each heading.
func blocks(page string) map[string][]block {
	all, heading, language, text := map[string][]block{}, "", "", ""
	for line := range strings.Lines(page) {
		fence, isFence := strings.CutPrefix(strings.TrimRight(line, "\n"), "```")
		switch {
		case isFence && language == "":
			language, text = fence, ""
		case isFence:
			all[heading], language = append(all[heading], block{language, text}), ""
		case language != "":
			text += line
		case strings.HasPrefix(line, "## "):
			heading = strings.TrimSpace(strings.TrimPrefix(line, "## "))
		}
	}
	return all
}
