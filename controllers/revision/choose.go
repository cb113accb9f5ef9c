package revision

import (
	"fmt"
	"strings"
)

// Present says whether a Secret has a key. A nil Present means that nothing is known yet.
type Present func(secret, key string) bool

// Keys makes a Present of what is known by "secret/key": the digests, or the bare names, of the keys that exist.
func Keys[V any](keys map[string]V) Present {
	if keys == nil {
		return nil
	}
	return func(secret, key string) bool { _, ok := keys[secret+"/"+key]; return ok }
}

// Choose picks, of each set of alternatives, the first form that is complete. It returns the references that pods get, and a message for
// each thing that is missing, with its remedy. While nothing is known it takes every first form and finds nothing missing. Optional keys
// of a chosen form stay in only if they exist, apart from those outside any choice, which pods wait for.
func Choose(references []Reference, present Present) (chosen []Reference, missing []string) {
	decided := map[string]string{}
	for _, r := range references {
		switch {
		case r.Choice == "":
			chosen = append(chosen, r)
			if present != nil && !r.Optional && !present(r.Secret, r.Key) {
				missing = append(missing, complaint(r))
			}
		case decided[r.Choice] == "":
			form := firstComplete(references, r.Choice, present)
			if form == "" {
				missing = append(missing, complaintOfChoice(references, r))
				form = r.Form
			}
			decided[r.Choice] = form
			chosen = append(chosen, ofForm(references, r.Choice, form, present)...)
		}
	}
	return chosen, missing
}

// firstComplete is the first form of a choice whose keys all exist; empty when there is none.
func firstComplete(references []Reference, choice string, present Present) string {
	for _, form := range forms(references, choice) {
		complete := true
		for _, r := range references {
			if r.Choice == choice && r.Form == form && !r.Optional && present != nil && !present(r.Secret, r.Key) {
				complete = false
			}
		}
		if complete {
			return form
		}
	}
	return ""
}

func forms(references []Reference, choice string) []string {
	var all []string
	for _, r := range references {
		if r.Choice == choice && (len(all) == 0 || all[len(all)-1] != r.Form) {
			all = append(all, r.Form)
		}
	}
	return all
}

func ofForm(references []Reference, choice, form string, present Present) []Reference {
	var all []Reference
	for _, r := range references {
		if r.Choice == choice && r.Form == form && (!r.Optional || present != nil && present(r.Secret, r.Key)) {
			all = append(all, r)
		}
	}
	return all
}

func complaint(r Reference) string {
	return fmt.Sprintf("%s: Secret %s has no key %s, the %s: add it or name another Secret", r.Field, r.Secret, r.Key, r.Purpose)
}

// complaintOfChoice lists what each form would have needed.
func complaintOfChoice(references []Reference, first Reference) string {
	var ways []string
	for _, form := range forms(references, first.Choice) {
		var keys []string
		for _, r := range references {
			if r.Choice == first.Choice && r.Form == form && !r.Optional {
				keys = append(keys, keyOf(r, first.Secret))
			}
		}
		ways = append(ways, strings.Join(keys, " and "))
	}
	return fmt.Sprintf("%s: Secret %s has neither %s: add the %s or name another Secret", first.Field, first.Secret, strings.Join(ways, " nor "), first.Purpose)
}

// keyOf names the Secret too when it is not the one that the sentence is about.
func keyOf(r Reference, secret string) string {
	if r.Secret == secret {
		return r.Key
	}
	return r.Key + " (in " + r.Secret + ")"
}

// Unrotated gives the digests that a revision is hashed with while changed values are to start nothing: for a key that the active revision
// was hashed with, the digest of then; for one that it does not know, that of now. Optional keys outside any choice may come and go, since its
// pods look for them all the time.
func Unrotated(chosen []Reference, now, then map[string]string) map[string]string {
	if then == nil {
		return now
	}
	digests := map[string]string{}
	for _, r := range chosen {
		digest, exists := now[r.ID()]
		old, known := then[r.ID()]
		comesAndGoes := r.Optional && r.Choice == ""
		switch {
		case known && (exists || comesAndGoes):
			digests[r.ID()] = old
		case exists && !known && !comesAndGoes:
			digests[r.ID()] = digest
		}
	}
	return digests
}
