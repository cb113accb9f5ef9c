package volumes

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestOnlyClaimsThatAreOursAndHaveANodeAreProvided(t *testing.T) {
	const ours, here = `"volume.kubernetes.io/storage-provisioner":"cluster.invalid/directory"`, `"volume.kubernetes.io/selected-node":"node1"`
	for _, c := range []struct {
		name, annotations, volume string
		waits                     bool
	}{
		{"ours, with a node", ours + "," + here, "", true},
		{"its first pod has no node yet", ours, "", false},
		{"bound", ours + "," + here, "pvc-1", false},
		{"another node's", ours + `,"volume.kubernetes.io/selected-node":"node2"`, "", false},
		{"another provisioner's", `"volume.kubernetes.io/storage-provisioner":"ebs.csi.aws.com",` + here, "", false},
	} {
		var got claim
		text := `{"metadata":{"annotations":{` + c.annotations + `}},"spec":{"volumeName":"` + c.volume + `"}}`
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Fatal(err)
		}
		if got.waits() != c.waits {
			t.Errorf("%s: waits is %v", c.name, got.waits())
		}
	}
}

func TestOnlyReleasedVolumesOfOursAreRemoved(t *testing.T) {
	for text, done := range map[string]bool{
		`{"metadata":{"annotations":{"pv.kubernetes.io/provisioned-by":"cluster.invalid/directory"}},"spec":{"persistentVolumeReclaimPolicy":"Delete"},"status":{"phase":"Released"}}`: true,
		`{"metadata":{"annotations":{"pv.kubernetes.io/provisioned-by":"cluster.invalid/directory"}},"spec":{"persistentVolumeReclaimPolicy":"Delete"},"status":{"phase":"Bound"}}`:    false,
		`{"metadata":{"annotations":{"pv.kubernetes.io/provisioned-by":"cluster.invalid/directory"}},"spec":{"persistentVolumeReclaimPolicy":"Retain"},"status":{"phase":"Released"}}`: false,
		`{"metadata":{},"spec":{"persistentVolumeReclaimPolicy":"Delete"},"status":{"phase":"Released"}}`:                                                                              false,
	} {
		var v volume
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		if v.done() != done {
			t.Errorf("%s: done is %v", text, v.done())
		}
	}
}

func TestDescribe(t *testing.T) {
	var c claim
	text := `{"metadata":{"namespace":"n","name":"demo-database","uid":"1-2"},"spec":{"accessModes":["ReadWriteOnce"],"storageClassName":"directory","resources":{"requests":{"storage":"10Gi"}}}}`
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	encoded, err := json.Marshal(describe(c, "/state/volumes/pvc-1-2"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"name":"pvc-1-2"`, `"capacity":{"storage":"10Gi"}`, `"local":{"path":"/state/volumes/pvc-1-2"}`, `"uid":"1-2"`, `"storageClassName":"directory"`,
		`"values":["node1"]`, Provisioner,
	} {
		if !strings.Contains(string(encoded), want) {
			t.Errorf("no %s in %s", want, encoded)
		}
	}
}
