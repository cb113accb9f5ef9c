package operator

import (
	"context"
	"fmt"
	"os"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"
)

// operatorIdentity is whom the operator under test acts as: it has the rights of config/rbac and no others, so that a right that is missing
// fails here and not in a cluster.
var operatorIdentity = rest.ImpersonationConfig{
	UserName: "system:serviceaccount:englog-system:englog-operator", Groups: []string{"system:serviceaccounts", "system:authenticated"},
}

// grant gives the operator its rights.
func grant(ctx context.Context) error {
	role, binding := &rbacv1.ClusterRole{}, &rbacv1.ClusterRoleBinding{}
	for file, object := range map[string]any{"role.yaml": role, "role_binding.yaml": binding} {
		text, err := os.ReadFile("../../../config/rbac/" + file)
		if err != nil {
			return fmt.Errorf("reading the operator's rights: %w", err)
		}
		if err := yaml.UnmarshalStrict(text, object); err != nil {
			return fmt.Errorf("reading %s: %w", file, err)
		}
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "englog-system"}}
	if err := cluster.Client.Create(ctx, namespace); err != nil {
		return fmt.Errorf("making the operator's namespace: %w", err)
	}
	if err := cluster.Client.Create(ctx, role); err != nil {
		return fmt.Errorf("making the operator's role: %w", err)
	}
	if err := cluster.Client.Create(ctx, binding); err != nil {
		return fmt.Errorf("binding the operator's role: %w", err)
	}
	return nil
}
