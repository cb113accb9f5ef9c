package api

import (
	"net/http"

	englog "github.com/garnizeh/englog-operator/workload"
)

// Features tells which switches are on. A feature that is off has no address:
// its operations answer 404.
type Features struct {
	AdvancedAI   bool `json:"advanced_ai"`
	GroupSharing bool `json:"group_sharing"`
	Export       bool `json:"export"`
	Beta         bool `json:"beta"`
}

// capabilities tells clients what this installation offers.
func (s *Server) capabilities(c *call) error {
	return c.json(http.StatusOK, map[string]any{
		"features":     s.Features,
		"registration": s.Accounts.Registration,
		"login_codes":  s.Accounts.Mailer != nil,
		"task_kinds":   s.Kinds,
		"entry_kinds":  englog.EntryKinds(),
		"limits": map[string]int{"content_bytes": s.MaxContentSize, "page_size": englog.MaxPageSize, "batch": maxBatch,
			"tags": englog.MaxTags, "requests_per_second": s.RateLimit},
	})
}
