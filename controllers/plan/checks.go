package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/world"
)

// Protocol says how a probe asks.
type Protocol string

// The ways to ask.
const (
	HTTP       Protocol = "HTTP"
	Prometheus Protocol = "Prometheus"
)

// Address is one place to ask: a pod's admin port, a Service, or a host outside.
type Address struct {
	// Service or Pod names the object, for the API server's proxy; IP is where it answers inside the cluster. With Host, both are empty.
	Service, Pod, IP string
	Host             string
	Port             int32
	Path             string
}

// Probe is a check that has to be running. Every try uses a connection of its own: a reused one would measure whatever it was opened to.
type Probe struct {
	// ID tells one run of a check from every other: it carries the rollout's ID and the step.
	ID       string
	Name     string
	Protocol Protocol
	// Targets are asked together; a try passes when all of them do.
	Targets []Address
	// Control is asked when a target cannot be reached: if it cannot either, the try says nothing about the candidate.
	Control []Address
	// Revision has to be the answer's X-Englog-Revision; an answer of another revision is not counted.
	Revision string
	// Patient is true where answers of another revision are expected for a while, right after a switch.
	Patient bool
	// Statuses are the accepted status codes; empty means 200 to 399.
	Statuses []int32
	// Query, Operator and Threshold make a Prometheus check.
	Query, Operator, Threshold string
	// Successes in a row pass it; more than Failures in all fail it.
	Successes, Failures int32
	Delay               time.Duration
	Interval            time.Duration
	Timeout             time.Duration
}

// The numbers of the built-in checks: tries are a second apart as kube-proxy follows within one, and three misses are more than one pod's
// restart.
const (
	builtInInterval  = 500 * time.Millisecond
	builtInTimeout   = 2 * time.Second
	readySuccesses   = 2
	liveSuccesses    = 5
	builtInFailures  = 3
	adminPort        = 8081
	servicePort      = 80
	readyPath        = "/readyz"
	healthPath       = "/health"
	floorDecay       = 5 * time.Minute
	workerCheckName  = "worker-health"
	candidatePrefix  = "ready-"
	liveRoutesPrefix = "live-"
)

// examine lists the checks of a stage as probes and Jobs to run, and returns their IDs with their names.
func (m *machine) examine(stage v1alpha1.CheckStage) map[string]string {
	var probes []Probe
	if stage == v1alpha1.CheckPrePromotion {
		probes = m.candidateProbes()
	} else {
		probes = m.liveProbes()
	}
	ids := map[string]string{}
	for _, c := range m.policy.Checks {
		if c.Stage != stage {
			continue
		}
		if c.Type == v1alpha1.CheckJob {
			ids[m.jobFinding(m.ensureJob(UserCheck, c.Name), c.Name)] = c.Name
			continue
		}
		probes = append(probes, m.userProbe(c))
	}
	if stage == v1alpha1.CheckPrePromotion {
		ids[m.jobFinding(m.ensureJob(WorkerCheck, ""), workerCheckName)] = workerCheckName
	}
	return m.listen(probes, ids)
}

// listen adds probes to what has to be running, and returns their IDs beside those that are given.
func (m *machine) listen(probes []Probe, ids map[string]string) map[string]string {
	for _, p := range probes {
		p.ID = m.probeID(p.Name)
		ids[p.ID] = p.Name
		m.out.Probes = append(m.out.Probes, p)
	}
	m.recordChecks(ids)
	return ids
}

// forgetLive drops what the live routes have answered: they lead elsewhere now.
func (m *machine) forgetLive() {
	m.next.Rollout.Checks = slices.DeleteFunc(m.next.Rollout.Checks, func(c v1alpha1.CheckStatus) bool {
		return strings.HasPrefix(c.Name, liveRoutesPrefix)
	})
}

func (m *machine) probeID(name string) string {
	return fmt.Sprintf("%s/%s/%s", m.was.Rollout.ID, m.was.Rollout.Step, name)
}

// jobFinding runs a check as a Job and keeps its outcome where guards look for it.
func (m *machine) jobFinding(e Ensure, name string) string {
	id, jobName := m.probeID(name), JobName(m.w.Instance.Name, e)
	job, exists := m.w.Jobs[jobName]
	f := world.Finding{Result: v1alpha1.CheckRunning, Message: "Job " + jobName + " has not ended"}
	switch {
	case !exists:
		m.add(e)
	case job.Phase == world.JobComplete:
		f = world.Finding{Result: v1alpha1.CheckPassed, Successes: 1, Message: clip(warnings(job.Message), 512)}
	case job.Phase == world.JobFailed:
		f = world.Finding{Result: v1alpha1.CheckFailed, Failures: 1, Message: clip(fmt.Sprintf("Job %s failed: %s", jobName, readFacts(job.Message).failure(job)), 512)}
	case job.Waiting != "":
		f.Message = "Job " + jobName + " waits: " + job.Waiting
	}
	if m.w.Findings == nil {
		m.w.Findings = map[string]world.Finding{}
	}
	m.w.Findings[id] = f
	return id
}

// candidateProbes ask every pod of the candidate whether it could serve.
func (m *machine) candidateProbes() []Probe {
	c := m.was.Candidate
	var probes []Probe
	for _, component := range m.routed() {
		p := Probe{
			Name: candidatePrefix + string(component), Protocol: HTTP, Revision: c.Revision, Statuses: []int32{200},
			Successes: readySuccesses, Failures: builtInFailures, Interval: builtInInterval, Timeout: builtInTimeout,
		}
		for _, pod := range m.w.Workloads[world.Slot{Component: component, Color: c.Color}].Pods {
			if pod.Revision == c.Revision && pod.Ready && !pod.Terminating {
				p.Targets = append(p.Targets, Address{Pod: pod.Name, IP: pod.IP, Port: adminPort, Path: readyPath})
			}
		}
		if a := m.was.Active; a != nil {
			p.Control = m.podControl(component, *a)
		}
		probes = append(probes, p)
	}
	return probes
}

func (m *machine) podControl(c v1alpha1.ComponentName, r v1alpha1.RevisionStatus) []Address {
	for _, pod := range m.w.Workloads[world.Slot{Component: c, Color: r.Color}].Pods {
		if pod.Ready && !pod.Terminating {
			return []Address{{Pod: pod.Name, IP: pod.IP, Port: adminPort, Path: readyPath}}
		}
	}
	return nil
}

// liveProbes ask through the live routes, on fresh connections, until the new revision answers every time.
func (m *machine) liveProbes() []Probe {
	var probes []Probe
	for _, component := range m.routed() {
		probes = append(probes, Probe{
			Name: liveRoutesPrefix + string(component), Protocol: HTTP, Revision: m.was.Active.Revision, Patient: true, Statuses: []int32{200},
			Targets:   []Address{m.live(component, healthPath)},
			Control:   m.standby(component, healthPath),
			Successes: liveSuccesses, Failures: builtInFailures, Interval: builtInInterval / 2, Timeout: builtInTimeout,
		})
	}
	return probes
}

func (m *machine) live(c v1alpha1.ComponentName, path string) Address {
	return Address{Service: LiveName(m.w.Instance.Name, c), IP: m.w.Routes[c].Endpoints.ClusterIP, Port: servicePort, Path: path}
}

func (m *machine) preview(c v1alpha1.ComponentName, color v1alpha1.Color, path string) Address {
	slot := world.Slot{Component: c, Color: color}
	return Address{Service: SlotName(m.w.Instance.Name, slot), IP: m.w.Previews[slot].ClusterIP, Port: servicePort, Path: path}
}

// standby is the color that does not take traffic now, as a control.
func (m *machine) standby(c v1alpha1.ComponentName, path string) []Address {
	for _, r := range []*v1alpha1.RevisionStatus{m.was.Previous, m.was.Candidate} {
		if r != nil {
			return []Address{m.preview(c, r.Color, path)}
		}
	}
	return nil
}

// recordChecks keeps what changed in the status; tries that change nothing are not worth a write.
func (m *machine) recordChecks(ids map[string]string) {
	known := map[string]v1alpha1.CheckStatus{}
	for _, c := range m.was.Rollout.Checks {
		known[c.Name] = c
	}
	for id, name := range ids {
		f, old := m.w.Findings[id], known[name]
		result := f.Result
		if result == "" {
			result = v1alpha1.CheckPending
		}
		if result == v1alpha1.CheckRunning && old.Result == v1alpha1.CheckPending {
			continue
		}
		if old.Name != "" && old.Result == result {
			continue
		}
		at := m.stamp()
		known[name] = v1alpha1.CheckStatus{Name: name, Result: result, Successes: f.Successes, Failures: f.Failures, Message: clip(f.Message, 512), At: at}
	}
	m.next.Rollout.Checks = sortedChecks(known)
}

// failedCheck is the first check, by name, that has failed.
func (m *machine) failedCheck(ids map[string]string) *world.Problem {
	var worst *world.Problem
	for id, name := range ids {
		f := m.w.Findings[id]
		if f.Result != v1alpha1.CheckFailed {
			continue
		}
		message := fmt.Sprintf("check %s failed: %s", name, f.Message)
		if worst == nil || message < worst.Message {
			worst = &world.Problem{Reason: "CheckFailed", Message: message}
		}
	}
	return worst
}

func sortedChecks(known map[string]v1alpha1.CheckStatus) []v1alpha1.CheckStatus {
	list := slices.Collect(maps.Values(known))
	slices.SortFunc(list, func(a, b v1alpha1.CheckStatus) int { return strings.Compare(a.Name, b.Name) })
	return list[:min(len(list), 24)]
}
