package report

import (
	"context"
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/garnizeh/englog-operator/controllers/world"
)

// reasoned is an error that knows the reason a condition should give for it.
type reasoned interface {
	error
	Reason() string
}

// tellingFailure turns a failed write into words, or into nothing where trying again is all there is to it: a user cannot act on a
// busy API server, and a status that says so only adds to its work.
func tellingFailure(err error) *world.Problem {
	var known reasoned
	switch {
	case err == nil, passing(err):
		return nil
	case errors.As(err, &known):
		return &world.Problem{Reason: known.Reason(), Message: known.Error()}
	case apierrors.IsForbidden(err) && strings.Contains(err.Error(), "exceeded quota"):
		return &world.Problem{Reason: "QuotaExceeded", Message: clip(err.Error(), 512) + ": raise the ResourceQuota or ask for less"}
	case apierrors.IsForbidden(err):
		return &world.Problem{Reason: "Forbidden", Message: clip(err.Error(), 512)}
	case apierrors.IsInvalid(err):
		return &world.Problem{Reason: "ApplyRejected", Message: invalid(err)}
	default:
		return &world.Problem{Reason: "ApplyFailed", Message: clip(err.Error(), 512)}
	}
}

func passing(err error) bool {
	return apierrors.IsConflict(err) || apierrors.IsNotFound(err) || apierrors.IsAlreadyExists(err) || apierrors.IsTooManyRequests(err) ||
		apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) || apierrors.IsServiceUnavailable(err) || apierrors.IsInternalError(err) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// invalid names the fields that the API server refused, and never their values, which may be anything.
func invalid(err error) string {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil {
		return "the API server refuses an object as invalid"
	}
	d := status.Status().Details
	fields := make([]string, 0, len(d.Causes))
	for _, c := range d.Causes {
		fields = append(fields, fmt.Sprintf("%s (%s)", c.Field, causeText(c.Type)))
	}
	return clip(fmt.Sprintf("the API server refuses %s %s: %s", d.Kind, d.Name, strings.Join(fields, ", ")), 512)
}

func causeText(t metav1.CauseType) string { return strings.TrimPrefix(string(t), "FieldValue") }
