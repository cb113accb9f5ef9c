package plan

import (
	"strings"
	"time"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
)

// userProbe turns a check of the spec into a probe against the revision that it is about: the candidate before the switch, the active
// revision after it.
func (m *machine) userProbe(c v1alpha1.CheckSpec) Probe {
	subject := m.was.Active
	if c.Stage == v1alpha1.CheckPrePromotion {
		subject = m.was.Candidate
	}
	p := Probe{
		Name: c.Name, Successes: max(c.Successes, 1), Failures: max(c.Failures, 1) - 1, Delay: seconds(value(c.InitialDelaySeconds)),
		Interval: max(seconds(c.IntervalSeconds), time.Second), Timeout: max(seconds(c.TimeoutSeconds), time.Second),
	}
	if c.Type == v1alpha1.CheckPrometheus && c.Prometheus != nil {
		p.Protocol = Prometheus
		p.Operator, p.Threshold = string(c.Prometheus.Comparison), c.Prometheus.Threshold
		p.Query = strings.NewReplacer("$(NAMESPACE)", m.w.Instance.Namespace, "$(INSTANCE)", m.w.Instance.Name,
			"$(COLOR)", lower(subject.Color), "$(REVISION)", subject.Revision).Replace(c.Prometheus.Query)
		return p
	}
	p.Protocol, p.Revision = HTTP, subject.Revision
	p.Patient = c.Stage == v1alpha1.CheckPostPromotion
	if h := c.HTTP; h != nil {
		p.Statuses = []int32{h.ExpectedStatus}
		if h.ExpectedStatus == 0 {
			p.Statuses = []int32{200}
		}
		component := v1alpha1.API
		if h.Component == v1alpha1.CheckComponentFrontend {
			component = v1alpha1.Frontend
		}
		p.Targets = []Address{m.checkAddress(component, *h, subject.Color)}
		p.Control = m.checkControl(component, *h, c.Stage)
	}
	return p
}

func (m *machine) checkAddress(component v1alpha1.ComponentName, h v1alpha1.HTTPCheck, color v1alpha1.Color) Address {
	switch h.Target {
	case v1alpha1.CheckTargetLive:
		return m.live(component, h.Path)
	case v1alpha1.CheckTargetHost:
		return Address{Host: m.host(component), Port: m.hostPort(), Path: h.Path}
	default:
		return m.preview(component, color, h.Path)
	}
}

// checkControl is the color that the check is not about.
func (m *machine) checkControl(component v1alpha1.ComponentName, h v1alpha1.HTTPCheck, stage v1alpha1.CheckStage) []Address {
	if stage == v1alpha1.CheckPostPromotion {
		return m.standby(component, h.Path)
	}
	if a := m.was.Active; a != nil {
		return []Address{m.preview(component, a.Color, h.Path)}
	}
	return nil
}

// host is the first host that the component is exposed under.
func (m *machine) host(component v1alpha1.ComponentName) string {
	e := m.w.Spec.Exposure
	if e == nil {
		return ""
	}
	hosts := e.Hosts
	if component == v1alpha1.Frontend {
		hosts = e.FrontendHosts
	}
	if len(hosts) == 0 {
		return ""
	}
	return string(hosts[0])
}

func (m *machine) hostPort() int32 {
	if e := m.w.Spec.Exposure; e != nil && e.TLS != nil && e.TLS.Type != v1alpha1.TLSNone {
		return 443
	}
	return 80
}
