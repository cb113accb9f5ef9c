package probe

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"syscall"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/garnizeh/englog-operator/controllers/plan"
)

// maxBody is how much of an answer is read.
const maxBody = 64 << 10

// revisionHeader names the revision that has answered.
const revisionHeader = "X-Englog-Revision"

// Answer is what came back.
type Answer struct {
	Status   int
	Revision string
	// Body is at most 64 KiB.
	Body []byte
}

// Asker carries one request to an address, on a connection that nobody has used before: a reused one would answer for whatever it was
// opened to. Redirects are answers, not followed. Errors read well in a status: no addresses, ports or times.
type Asker interface {
	Ask(ctx context.Context, namespace, method string, to plan.Address) (Answer, error)
}

// ErrBlind says that the operator cannot look at all, whatever the state of the pods.
var ErrBlind = errors.New("the operator cannot reach the instance")

// Direct asks addresses as they are: what an operator inside the cluster does.
type Direct struct{}

// Ask implements Asker.
func (Direct) Ask(ctx context.Context, _, method string, to plan.Address) (Answer, error) {
	u, err := addressURL(to)
	if err != nil {
		return Answer{}, err
	}
	dialer := &net.Dialer{}
	if to.Host != "" {
		dialer.ControlContext = refuseOwnNetwork
	}
	return once(ctx, dialer, method, u)
}

// once sends one request over a connection of its own, past any proxy of the environment.
func once(ctx context.Context, dialer *net.Dialer, method string, u *url.URL) (Answer, error) {
	transport := &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: maxBody}
	defer transport.CloseIdleConnections()
	return send(ctx, transport, method, u)
}

func send(ctx context.Context, transport http.RoundTripper, method string, u *url.URL) (Answer, error) {
	request, err := http.NewRequestWithContext(ctx, method, u.String(), http.NoBody)
	if err != nil {
		return Answer{}, errors.New("its address is not a valid URL")
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return Answer{}, inWords(err)
	}
	defer func() { _ = response.Body.Close() }() // all that counts has been read
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	if err != nil {
		return Answer{}, inWords(err)
	}
	return Answer{Status: response.StatusCode, Revision: response.Header.Get(revisionHeader), Body: body}, nil
}

func addressURL(to plan.Address) (*url.URL, error) {
	u, err := url.ParseRequestURI(to.Path)
	if err != nil || u.Scheme != "" {
		return nil, fmt.Errorf("path %q is not a valid request path", to.Path)
	}
	host := to.IP
	if to.Host != "" {
		host = to.Host
	}
	u.Scheme, u.Host = "http", net.JoinHostPort(host, strconv.Itoa(int(to.Port)))
	if to.Host != "" && to.Port == 443 {
		u.Scheme = "https"
	}
	return u, nil
}

// refuseOwnNetwork keeps a host name, which a tenant chooses, from leading into the operator's own pod or its node's metadata service.
func refuseOwnNetwork(_ context.Context, _, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return errForbidden
	}
	ip := to.Addr().Unmap()
	if ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified() {
		return errForbidden
	}
	return nil
}

var errForbidden = errors.New("the host name leads to an address that checks must not ask")

// inWords says why there was no answer, in words that stay the same from try to try.
func inWords(err error) error {
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	var timeout net.Error
	switch {
	case errors.Is(err, errForbidden):
		return errForbidden
	case errors.As(err, &dns):
		return errors.New("its name does not resolve")
	case errors.As(err, &certificate):
		return errors.New("its certificate is not trusted or names another host")
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return errors.New("no answer in time")
	case errors.Is(err, syscall.ECONNREFUSED):
		return errors.New("connection refused")
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return errors.New("no route to it")
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the connection broke before the answer")
	default:
		return errors.New("it cannot be reached")
	}
}

// Proxied asks pods and Services through the API server, and hosts directly: what an operator outside the cluster does. The API server
// picks one of a Service's endpoints for each request.
type Proxied struct {
	transport http.RoundTripper
	base      *url.URL
}

// NewProxied returns an Asker that uses the API server of the configuration.
func NewProxied(config *rest.Config) (*Proxied, error) {
	transport, err := rest.TransportFor(config)
	if err != nil {
		return nil, fmt.Errorf("make a transport to the API server: %w", err)
	}
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, fmt.Errorf("read the address of the API server: %w", err)
	}
	return &Proxied{transport: transport, base: base}, nil
}

// Ask implements Asker.
func (p *Proxied) Ask(ctx context.Context, namespace, method string, to plan.Address) (Answer, error) {
	if to.Host != "" {
		return Direct{}.Ask(ctx, namespace, method, to)
	}
	target, err := addressURL(to)
	if err != nil {
		return Answer{}, err
	}
	kind, name := "services", to.Service
	if to.Pod != "" {
		kind, name = "pods", to.Pod
	}
	u := p.base.JoinPath("api/v1/namespaces", namespace, kind, fmt.Sprintf("%s:%d", name, to.Port), "proxy", target.Path)
	u.RawQuery = target.RawQuery
	answer, err := send(ctx, p.transport, method, u)
	if err != nil {
		return Answer{}, fmt.Errorf("%w through the API server: %w", ErrBlind, err)
	}
	return answer, apiServerRefusal(answer)
}

// apiServerRefusal recognises an answer of the API server itself: nothing has been heard of the target then.
func apiServerRefusal(a Answer) error {
	if a.Revision != "" || a.Status < http.StatusBadRequest {
		return nil
	}
	var status metav1.Status
	_ = json.Unmarshal(a.Body, &status) // what is no JSON is not of the API server
	if status.Kind != "Status" {
		return nil
	}
	switch status.Reason {
	case metav1.StatusReasonUnauthorized, metav1.StatusReasonForbidden, metav1.StatusReasonTooManyRequests:
		return fmt.Errorf("%w through the API server: %s", ErrBlind, status.Reason)
	case metav1.StatusReasonNotFound:
		return errors.New("it does not exist")
	default:
		return errors.New("the API server cannot reach it")
	}
}
