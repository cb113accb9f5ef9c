package model

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/garnizeh/englog-operator/controllers/plan"
	"github.com/garnizeh/englog-operator/controllers/world"
)

// noImage is what the kubelet says about an image that it cannot get.
const noImage = "ImagePullBackOff: not found"

// settleJob lets a Job end. Until it has, Reason holds its purpose.
func (c *Cluster) settleJob(name string) bool {
	j := c.jobs[name]
	purpose := plan.Purpose(j.Reason)
	if j.Unstarted && c.Characters[j.Revision] != NoImage {
		j.Waiting, j.Unstarted = "", false
		c.setJob(j)
		return true
	}
	j.Phase, j.Reason = world.JobComplete, ""
	switch {
	case c.Characters[j.Revision] == NoImage:
		j.Phase, j.Reason = world.JobFailed, "DeadlineExceeded"
	case purpose == plan.Expand, purpose == plan.Contract:
		c.migrate(&j, purpose)
	case purpose == plan.WorkerCheck && c.Characters[j.Revision] == WorkerCheckBad:
		j.Phase, j.Message = world.JobFailed, `{"error":"cannot reach the queue"}`
	case purpose == plan.UserCheck:
		if c.Characters[j.Revision] == FailsBefore || c.Characters[j.Revision] == FailsAfter && strings.Contains(name, "-after-") {
			j.Phase, j.Message = world.JobFailed, `{"error":"exit code 1"}`
		}
	}
	c.setJob(j)
	return true
}

// told is what the service's migrator tells.
type told struct {
	Phase            string   `json:"phase"`
	From             int32    `json:"from"`
	To               int32    `json:"to"`
	Current          int32    `json:"current"`
	OldestCompatible int32    `json:"oldestCompatible"`
	Approve          string   `json:"approve,omitempty"`
	Pending          []string `json:"pending,omitempty"`
	Applied          []string `json:"applied,omitempty"`
	Refused          bool     `json:"refused,omitempty"`
	Unapproved       bool     `json:"unapproved,omitempty"`
	Error            string   `json:"error,omitempty"`
}

// migration is the plan of a migration Job.
func (c *Cluster) migration(j *world.Job) told {
	level, phase := c.level(j.Revision), plan.Purpose(j.Reason)
	t := told{Phase: string(phase), From: c.Database.Current, To: c.Database.Current, Current: c.Database.Current, OldestCompatible: c.Database.Oldest}
	switch {
	case phase == plan.Contract && level.Drops > c.Database.Oldest:
		t.Approve = drops(level)
		t.Pending = []string{t.Approve}
	case phase == plan.Expand && level.Brings > c.Database.Current:
		t.To, t.Pending = level.Brings, []string{"to-" + number(level.Brings)}
	}
	if phase == plan.Expand && c.Characters[j.Revision] == TakesAway {
		t.Approve = takes(j.Revision)
		t.Pending = append(t.Pending, t.Approve)
	}
	return t
}

// drops and takes name migrations that take something away.
func drops(l Level) string         { return "drop-to-" + number(l.Drops) }
func takes(revision string) string { return "take-" + revision }

// migrate carries the plan out, unless it takes something away that nobody has approved.
func (c *Cluster) migrate(j *world.Job, phase plan.Purpose) {
	j.Reason = string(phase)
	t := c.migration(j)
	j.Reason = ""
	switch level := c.level(j.Revision); {
	case phase == plan.Expand && c.Characters[j.Revision] == MigrationFails:
		t.Error = "relation does not exist"
	case t.Approve != "" && t.Approve != c.approvals[j.Name]:
		t.Refused, t.Unapproved, t.Error = true, true, t.Approve+" is not approved"
	case phase == plan.Contract:
		c.Database.Oldest = max(c.Database.Oldest, level.Drops)
	default:
		if c.Characters[j.Revision] == ContractsEarly {
			c.Database.Oldest = max(c.Database.Oldest, level.Brings)
		}
		c.Database.Current = max(c.Database.Current, level.Brings)
	}
	if t.Error != "" {
		j.Phase = world.JobFailed
	} else {
		t.Applied, t.Pending, t.Approve = t.Pending, nil, ""
		t.Current, t.OldestCompatible = c.Database.Current, c.Database.Oldest
		t.To = t.Current
	}
	j.Message = c.tells(t)
}

func (c *Cluster) tells(t told) string {
	line, err := json.Marshal(t)
	if err != nil {
		panic(err) // strings and numbers
	}
	return string(line)
}

// level is what a revision has to do with the schema; one that nobody has described brings one level more and drops none.
func (c *Cluster) level(revision string) Level {
	if l, ok := c.Levels[revision]; ok {
		return l
	}
	return Level{Brings: 2, Drops: 1}
}

func number(n int32) string { return strconv.Itoa(int(n)) }
