package awssm

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
)

const (
	// roleAnnotation is where EKS users name the role of a ServiceAccount, and audience whom its tokens are for
	// (https://docs.aws.amazon.com/eks/latest/userguide/associate-service-account-role.html).
	roleAnnotation = "eks.amazonaws.com/role-arn"
	audience       = "sts.amazonaws.com"
	// tokenLife is the least that the API server grants, in seconds; a token is used once.
	tokenLife = 600
)

// asker is a client of Secrets Manager with the identity that the spec names.
func (c *Copier) asker(ctx context.Context, s *source) (*secretsmanager.Client, error) {
	settings, err := c.settings(ctx, s)
	if err != nil {
		return nil, err
	}
	return secretsmanager.NewFromConfig(settings, func(o *secretsmanager.Options) {
		if c.options.Endpoint != "" {
			o.BaseEndpoint = &c.options.Endpoint
		}
	}), nil
}

func (c *Copier) settings(ctx context.Context, s *source) (aws.Config, error) {
	if s.spec.Identity == v1alpha1.AWSIdentityOperator {
		if err := c.permit(s); err != nil {
			return aws.Config{}, err
		}
		settings, err := config.LoadDefaultConfig(ctx, config.WithRegion(s.spec.Region), config.WithRetryMaxAttempts(2))
		return settings, wrap(err, "loading the operator's own AWS settings")
	}
	role, token, err := c.serviceAccount(ctx, s.instance)
	if err != nil {
		return aws.Config{}, err
	}
	settings := aws.Config{Region: s.spec.Region, RetryMaxAttempts: 2}
	exchange := sts.NewFromConfig(settings, func(o *sts.Options) {
		if c.options.Endpoint != "" {
			o.BaseEndpoint = &c.options.Endpoint
		}
	})
	settings.Credentials = aws.NewCredentialsCache(stscreds.NewWebIdentityRoleProvider(exchange, role, token, func(o *stscreds.WebIdentityRoleOptions) {
		o.RoleSessionName = "englog-" + s.instance.Name
	}))
	return settings, nil
}

// permit ties what the operator asks for as itself to the instance's namespace: a spec must not be a lever on the operator's role.
func (c *Copier) permit(s *source) error {
	if c.options.Prefix == "" {
		return errors.New("identity Operator is not allowed here: the operator runs without --aws-secret-prefix; use identity ServiceAccount or ask its administrator")
	}
	prefix := strings.ReplaceAll(c.options.Prefix, "{namespace}", s.instance.Namespace)
	name := s.spec.SecretID
	if strings.HasPrefix(name, "arn:") {
		parts := strings.SplitN(name, ":", 7)
		if len(parts) < 7 {
			return fmt.Errorf("secretID %s is no ARN of a secret", s.spec.SecretID)
		}
		name = parts[6]
	}
	if !strings.HasPrefix(name, prefix) {
		return fmt.Errorf("secretID %s does not begin with %s, to which the operator ties this namespace: move the secret there or use identity ServiceAccount", s.spec.SecretID, prefix)
	}
	return nil
}

// token is a web identity that is at hand.
type token []byte

// GetIdentityToken implements stscreds.IdentityTokenRetriever.
func (t token) GetIdentityToken() ([]byte, error) { return t, nil }

// serviceAccount returns the role of the API's ServiceAccount and a short-lived token of it.
func (c *Copier) serviceAccount(ctx context.Context, instance *v1alpha1.EngLogInstance) (role string, t token, err error) {
	name := instance.Name + "-api"
	if api := instance.Spec.API; api != nil && api.ServiceAccount != nil && api.ServiceAccount.Name != "" {
		name = api.ServiceAccount.Name
	}
	account := &corev1.ServiceAccount{}
	if err := c.options.Client.Get(ctx, types.NamespacedName{Namespace: instance.Namespace, Name: name}, account); err != nil {
		return "", nil, fmt.Errorf("reading ServiceAccount %s: %w", name, err)
	}
	if role = account.Annotations[roleAnnotation]; role == "" {
		return "", nil, fmt.Errorf("ServiceAccount %s has no annotation %s: set spec.api.serviceAccount.annotations, or use identity Operator", name, roleAnnotation)
	}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{audience}, ExpirationSeconds: new(int64(tokenLife))}}
	account = &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: instance.Namespace, Name: name}}
	if err := c.options.Client.SubResource("token").Create(ctx, account, request); err != nil {
		return "", nil, fmt.Errorf("asking for a token of ServiceAccount %s (config/rbac/aws_identity.yaml grants that): %w", name, err)
	}
	return role, token(request.Status.Token), nil
}

// brief keeps of an AWS error its code and message, without the request's id, which changes with each try and would make every status a
// new one.
func brief(err error) error {
	var known smithy.APIError
	if errors.As(err, &known) {
		return fmt.Errorf("%s: %s", known.ErrorCode(), known.ErrorMessage())
	}
	return errors.New("AWS does not answer: " + lastPart(err))
}

// lastPart is the innermost cause: what is around it holds ids and addresses of the try.
func lastPart(err error) string {
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return err.Error()
}
