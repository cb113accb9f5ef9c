package view

import (
	"errors"
	"fmt"
	"os"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/hack/demo/cutover"
)

// Recorder is a Show that also keeps a picture of the last frame in one step.
type Recorder struct {
	cutover.Show

	Path string        // of the SVG file
	Step v1alpha1.Step // to be pictured

	history History
	frame   []Line
}

// Live keeps the frame and passes the scene on.
func (r *Recorder) Live(s cutover.Scene) {
	r.history.Add(s)
	if s.Step() == r.Step {
		r.frame = Frame(s, &r.history)
	}
	r.Show.Live(s)
}

// Curtain writes the picture.
func (r *Recorder) Curtain() {
	r.Show.Curtain()
	if err := r.write(); err != nil {
		r.Note("no picture: %v", err)
	}
}

func (r *Recorder) write() (err error) {
	if r.frame == nil {
		return fmt.Errorf("step %s was never seen", r.Step)
	}
	f, err := os.Create(r.Path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return WriteSVG(f, r.frame)
}
