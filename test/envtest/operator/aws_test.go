package operator

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
)

// amazon answers as AWS STS and AWS Secrets Manager do on the wire.
var amazon *fakeAmazon

type fakeAmazon struct {
	server  *httptest.Server
	mu      sync.Mutex
	secrets map[string]map[string]string // by secret id
	asked   map[string]string            // who asked, by secret id
}

func startAmazon() *fakeAmazon {
	a := &fakeAmazon{secrets: map[string]map[string]string{}, asked: map[string]string{}}
	a.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Amz-Target") == "secretsmanager.GetSecretValue" {
			a.secretValue(w, r)
			return
		}
		a.assumeRole(w, r)
	}))
	return a
}

func (a *fakeAmazon) put(id string, values map[string]string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.secrets[id] = values
}

func (a *fakeAmazon) asker(id string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asked[id]
}

// assumeRole gives credentials for a token: their access key is the subject of the token, so that later requests show whose they are.
func (a *fakeAmazon) assumeRole(w http.ResponseWriter, r *http.Request) {
	claims := struct {
		Sub string   `json:"sub"`
		Aud []string `json:"aud"`
	}{}
	parts := strings.Split(r.FormValue("WebIdentityToken"), ".")
	payload, err := base64.RawURLEncoding.DecodeString(parts[min(1, len(parts)-1)])
	if err != nil || json.Unmarshal(payload, &claims) != nil || len(claims.Aud) != 1 || claims.Aud[0] != "sts.amazonaws.com" ||
		r.FormValue("Action") != "AssumeRoleWithWebIdentity" || r.FormValue("RoleArn") != "arn:aws:iam::123456789012:role/journal" {
		http.Error(w, `<ErrorResponse><Error><Code>InvalidIdentityToken</Code><Message>no</Message></Error></ErrorResponse>`, http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/xml")
	fmt.Fprintf(w, `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult><Credentials>
<AccessKeyId>%s</AccessKeyId><SecretAccessKey>key</SecretAccessKey><SessionToken>token</SessionToken><Expiration>%s</Expiration>
</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`,
		strings.ReplaceAll(claims.Sub, ":", "."), time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
}

func (a *fakeAmazon) secretValue(w http.ResponseWriter, r *http.Request) {
	var request struct {
		SecretID string `json:"SecretId"`
	}
	_ = json.NewDecoder(r.Body).Decode(&request) // an unreadable request asks for no secret
	who := strings.TrimPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=")
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked[request.SecretID], _, _ = strings.Cut(who, "/")
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	values, ok := a.secrets[request.SecretID]
	if !ok {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"__type":"ResourceNotFoundException","Message":"Secrets Manager can't find the specified secret."}`)
		return
	}
	text, _ := json.Marshal(values)                                            // a map of texts always encodes
	answer, _ := json.Marshal(map[string]string{"SecretString": string(text)}) // as above
	_, _ = w.Write(answer)                                                     // the client sees a broken answer
}

// fromAmazon fills the instance's Secret from AWS, as the API's ServiceAccount.
func fromAmazon(i *v1alpha1.EngLogInstance) {
	i.Spec.Secrets = &v1alpha1.SecretsSpec{Type: v1alpha1.SecretsAWSSecretsManager, AWSSecretsManager: &v1alpha1.AWSSecretsManager{
		SecretID: "englog/" + i.Namespace + "/app", RefreshIntervalSeconds: 60,
	}}
	i.Spec.API.ServiceAccount = &v1alpha1.ServiceAccountSpec{Annotations: map[string]string{"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/journal"}}
}

// mayActAs grants what config/rbac/aws_identity.yaml does: tokens of this one ServiceAccount.
func mayActAs(t *testing.T, namespace, account string) {
	t.Helper()
	cluster.Create(t, &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "aws"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"serviceaccounts/token"}, ResourceNames: []string{account}, Verbs: []string{"create"}}},
	}, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "aws"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "aws"},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: "englog-system", Name: "englog-operator"}},
	})
}

func TestSecretsFromAWS(t *testing.T) {
	t.Parallel()
	covers(t, "J1", "J2", "J6", "J7", "X15", "B9")
	instance := draft(t, fromAmazon)
	migrated(t, instance.Namespace)
	mayActAs(t, instance.Namespace, "demo-api")
	cluster.Create(t, instance)
	id := instance.Spec.Secrets.AWSSecretsManager.SecretID
	var message string
	cluster.Await(t, instance, "the cause at AWS", func() bool {
		_, _, message = condition(instance, v1alpha1.ConditionReferencesResolved)
		return strings.Contains(message, "ResourceNotFoundException")
	})
	mentions(t, message, "spec.secrets.awsSecretsManager", id, "us-west-2", "Secret demo-secrets")
	values := map[string]string{}
	for k, v := range secretFor(instance).StringData {
		values[k] = v
	}
	values["PATH"], values["ENVIRONMENT"], values["LD_PRELOAD"] = "/tmp", "development", "x.so"
	amazon.put(id, values)
	awaitCondition(t, instance, v1alpha1.ConditionReady, "True", "")
	if who, want := amazon.asker(id), "system.serviceaccount."+instance.Namespace+".demo-api"; who != want {
		t.Errorf("%s asked for the secret, not %s", who, want)
	}
	secret := fetch(t, &corev1.Secret{}, instance.Namespace, "demo-secrets")
	if !metav1.IsControlledBy(secret, instance) || len(secret.Data) != 4 || string(secret.Data["JWT_SECRET"]) != values["JWT_SECRET"] {
		t.Errorf("the Secret holds %d keys and has the owners %v", len(secret.Data), secret.OwnerReferences)
	}
	tellsNone(t, instance, values["JWT_SECRET"], values["SESSION_KEY"], values["DATABASE_URL"])
}

// tellsNone fails the test when the instance or an event about it shows a value.
func tellsNone(t *testing.T, instance *v1alpha1.EngLogInstance, values ...string) {
	t.Helper()
	events := &corev1.EventList{}
	if err := cluster.Client.List(context.Background(), events); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal([]any{instance, events})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range values {
		if strings.Contains(string(text), v) {
			t.Error("a secret value is told")
		}
	}
}

func TestSecretThatAWSMustNotFill(t *testing.T) {
	t.Parallel()
	covers(t, "X15")
	instance := draft(t, fromAmazon)
	mayActAs(t, instance.Namespace, "demo-api")
	mine := secretFor(instance)
	delete(mine.StringData, "DATABASE_URL")
	cluster.Create(t, mine, instance)
	amazon.put(instance.Spec.Secrets.AWSSecretsManager.SecretID, map[string]string{"DATABASE_URL": "postgres://db"})
	cluster.Await(t, instance, "the conflict", func() bool {
		_, _, message := condition(instance, v1alpha1.ConditionReferencesResolved)
		return strings.Contains(message, "secret demo-secrets exists and does not belong")
	})
	untouched(t, mine)
}
