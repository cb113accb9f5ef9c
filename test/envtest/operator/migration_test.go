package operator

import (
	"slices"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/test/envtest/rig"
)

// migrations makes the migration Jobs of a version answer in a way of their own.
func migrations(t *testing.T, namespace, version string, rule rig.Rule) {
	t.Helper()
	rule.Namespace, rule.ImageContains, rule.Labels = namespace, ":"+version, map[string]string{"app.kubernetes.io/component": "migrate"}
	cluster.Kubelet.Rule(t, rule)
}

// The life of a contract migration: the plan of the expand is told while it runs, the contract is left out, approved, run, and then the way
// back is closed.
func TestContractAwaitsApproval(t *testing.T) {
	t.Parallel()
	covers(t, "X82")
	const contract = "0101_without_default.sql"
	instance := install(t)
	migrations(t, instance.Namespace, "1.1.0", rig.Rule{Running: true, Plan: `{"phase":"expand","from":2,"to":3,"current":2,"oldestCompatible":1,"pending":["0003_more.sql"]}`})
	edit(t, instance, func(s *v1alpha1.EngLogInstanceSpec) { s.Version = "1.1.0" })
	var running *v1alpha1.MigrationStatus
	cluster.Await(t, instance, "the plan of the migration", func() bool {
		if instance.Status.Rollout != nil {
			running = instance.Status.Rollout.Migration
		}
		return running != nil && len(running.Pending) > 0
	})
	if running.From != 2 || running.To != 3 || running.Result != v1alpha1.MigrationRunning || running.Pending[0] != "0003_more.sql" || len(running.Destructive) > 0 {
		t.Errorf("while it runs the migration is %+v", running)
	}
	migrations(t, instance.Namespace, "1.1.0", rig.Rule{Message: `{"phase":"expand","from":2,"to":3,"current":3,"oldestCompatible":1,"applied":["0003_more.sql"]}`})
	awaitStep(t, instance, v1alpha1.StepRetaining)
	migrations(t, instance.Namespace, "1.1.0", rig.Rule{ExitCode: 4, Message: `{"phase":"contract","from":3,"to":3,"current":3,"oldestCompatible":1,"destructive":true,` +
		`"approve":"` + contract + `","pending":["` + contract + `"],"refused":true,"unapproved":true,"error":"it is not approved"}`})
	awaitStep(t, instance, v1alpha1.StepStable)
	message := awaitCondition(t, instance, v1alpha1.ConditionMigrated, "True", "ContractAwaitsApproval")
	mentions(t, message, contract, "spec.rollout.migration.destructive", "spec.rollout.migration.approvedMigration")
	if got := instance.Status.Schema.AwaitingApproval; !slices.Equal(got, []string{contract}) {
		t.Errorf("what waits for approval is %v", got)
	}
	if h := instance.Status.History[0]; h.Outcome != v1alpha1.OutcomePromoted {
		t.Errorf("the rollout ended as %v", h)
	}
	b := instance.Status.Active.Revision
	if pods := podsOfJob(t, instance, "demo-contract-"+b+"-1"); pods != 1 {
		t.Errorf("a migration that only an approval lets run was tried %d times", pods)
	}
	migrations(t, instance.Namespace, "1.1.0", rig.Rule{Message: `{"phase":"contract","from":3,"to":3,"current":3,"oldestCompatible":3,"applied":["` + contract + `"]}`})
	edit(t, instance, func(s *v1alpha1.EngLogInstanceSpec) {
		s.Rollout.Migration = &v1alpha1.MigrationSpec{Destructive: v1alpha1.DestructiveWhenApproved, ApprovedMigration: contract}
	})
	cluster.Await(t, instance, "the contract", func() bool {
		return len(instance.Status.Schema.AwaitingApproval) == 0 && instance.Status.Rollout.Step == v1alpha1.StepStable
	})
	if s := instance.Status.Schema; s.OldestCompatible != 3 || instance.Status.Rollout.Trigger != v1alpha1.TriggerApproval {
		t.Errorf("after the contract: schema %+v, rollout %+v", s, instance.Status.Rollout)
	}
	edit(t, instance, func(s *v1alpha1.EngLogInstanceSpec) { s.Version = "1.0.0" })
	message = awaitCondition(t, instance, v1alpha1.ConditionStalled, "True", "SchemaTooNew")
	mentions(t, message, "schema level 2", "at least 3", "roll forward")
	serves(t, instance, "1.1.0", v1alpha1.Green)
}

// podsOfJob counts the pods that a Job has made.
func podsOfJob(t *testing.T, instance *v1alpha1.EngLogInstance, job string) int {
	t.Helper()
	pods := &corev1.PodList{}
	if err := cluster.Client.List(t.Context(), pods, client.InNamespace(instance.Namespace), client.MatchingLabels{batchv1.JobNameLabel: job}); err != nil {
		t.Fatal(err)
	}
	return len(pods.Items)
}

// An expand migration that takes something away waits in front of everything else, and its Job is made anew with the approval.
func TestExpandAwaitsApproval(t *testing.T) {
	t.Parallel()
	covers(t, "X82")
	instance := install(t, func(i *v1alpha1.EngLogInstance) {
		i.Spec.Rollout.Migration = &v1alpha1.MigrationSpec{Destructive: v1alpha1.DestructiveWhenApproved}
	})
	migrations(t, instance.Namespace, "1.1.0", rig.Rule{ExitCode: 4, Message: `{"phase":"expand","from":2,"to":3,"current":2,"oldestCompatible":1,"destructive":true,` +
		`"approve":"0003_drop.sql","pending":["0003_drop.sql"],"refused":true,"unapproved":true,"error":"it is not approved"}`})
	edit(t, instance, func(s *v1alpha1.EngLogInstanceSpec) { s.Version = "1.1.0" })
	message := awaitCondition(t, instance, v1alpha1.ConditionRolledOut, "False", "AwaitingApproval")
	mentions(t, message, "0003_drop.sql", "spec.rollout.migration.approvedMigration")
	if m := instance.Status.Rollout.Migration; m.Result != v1alpha1.MigrationRefused || !slices.Equal(m.Destructive, []string{"0003_drop.sql"}) {
		t.Errorf("the migration is %+v", m)
	}
	migrated(t, instance.Namespace)
	edit(t, instance, func(s *v1alpha1.EngLogInstanceSpec) { s.Rollout.Migration.ApprovedMigration = "0003_drop.sql" })
	awaitStep(t, instance, v1alpha1.StepRetaining)
	job := fetch(t, &batchv1.Job{}, instance.Namespace, "demo-migrate-"+instance.Status.Active.Revision+"-2")
	if args := job.Spec.Template.Spec.Containers[0].Args; !slices.Equal(args[len(args)-2:], []string{"--approve", "0003_drop.sql"}) {
		t.Errorf("the second Job runs %v", args)
	}
}

// Two instances of one namespace, whose names begin alike, have Jobs of their own.
func TestTwoInstancesMigrateSideBySide(t *testing.T) {
	t.Parallel()
	first := newInstance(t)
	migrated(t, first.Namespace)
	second := first.DeepCopy()
	second.ObjectMeta.Reset()
	second.Namespace, second.Name, second.Status = first.Namespace, "demo-migrate", v1alpha1.EngLogInstanceStatus{}
	cluster.Create(t, secretFor(second), second)
	owners := map[string]string{}
	for _, instance := range []*v1alpha1.EngLogInstance{first, second} {
		awaitCondition(t, instance, v1alpha1.ConditionReady, "True", "")
		job := fetch(t, &batchv1.Job{}, instance.Namespace, instance.Status.Rollout.Migration.JobName)
		owners[string(job.OwnerReferences[0].UID)] = job.Name
		if job.OwnerReferences[0].UID != instance.UID {
			t.Errorf("Job %s of %s belongs to %v", job.Name, instance.Name, job.OwnerReferences)
		}
	}
	if len(owners) != 2 {
		t.Errorf("the Jobs belong to %v", owners)
	}
}
