package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

// refusal is a problem document (RFC 9457) from the API.
type refusal struct {
	Status int    `json:"status"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Code   string `json:"code"`
}

func (p *refusal) Error() string { return fmt.Sprintf("the API refused: %d %s", p.Status, p.Code) }

func (p *refusal) text() string {
	if p.Detail != "" {
		return p.Detail
	}
	return p.Title
}

// maxAnswer bounds what is read of one answer.
const maxAnswer = 8 << 20

// call makes one request to the API on a visitor's behalf.
func (s *Site) call(r *http.Request, method, path, token string, body, answer any) error {
	request, err := s.request(r, method, path, token, body)
	if err != nil {
		return err
	}
	response, err := s.Client.Do(request)
	if err != nil {
		return fmt.Errorf("calling the API: %w", err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("reading the API's answer: %w", err)
	}
	if response.StatusCode >= 400 {
		return refused(response.StatusCode, content)
	}
	if answer == nil || len(content) == 0 {
		return nil
	}
	if err := json.Unmarshal(content, answer); err != nil {
		return fmt.Errorf("decoding the API's answer: %w", err)
	}
	return nil
}

func refused(status int, content []byte) error {
	p := &refusal{}
	if err := json.Unmarshal(content, p); err != nil || status >= 500 {
		return fmt.Errorf("the API answered %d", status)
	}
	p.Status = status
	return p
}

func (s *Site) request(r *http.Request, method, path, token string, body any) (*http.Request, error) {
	var content io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("encoding a request: %w", err)
		}
		content = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(r.Context(), method, strings.TrimSuffix(s.APIURL, "/")+path, content)
	if err != nil {
		return nil, fmt.Errorf("making a request: %w", err)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	if id := r.Header.Get("X-Request-Id"); id != "" {
		request.Header.Set("X-Request-Id", id)
	}
	request.Header.Set("X-Forwarded-For", forwarded(r))
	return request, nil
}

// forwarded appends the visitor's own address to what proxies have said.
func forwarded(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	if before := r.Header.Get("X-Forwarded-For"); before != "" {
		return before + ", " + host
	}
	return host
}
