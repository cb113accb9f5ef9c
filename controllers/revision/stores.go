package revision

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"unicode"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
)

// Keys of a Managed store's Secret that hold what was made up. The rest of the Secret follows from them.
const (
	passwordKey          = "password"
	ownerPasswordKey     = "ownerPassword"
	superuserPasswordKey = "superuserPassword"
	usernameKey          = "username"
)

// ManagedStores lists the stores that the operator runs for a spec.
func ManagedStores(spec v1alpha1.EngLogInstanceSpec) []string {
	var all []string
	if spec.Database.Type == v1alpha1.StoreManaged {
		all = append(all, Database)
	}
	if spec.Cache.Type == v1alpha1.StoreManaged {
		all = append(all, Cache)
	}
	return all
}

// StoreCredentials completes the content of a Managed store's Secret, under the keys that External databases use too. What the Secret has
// is kept: the volume was made with it, or a person has rotated it. Random gives letters, digits, '-' and '_' only, since the values go into URIs and into SQL.
func StoreCredentials(instance *v1alpha1.EngLogInstance, store string, have map[string][]byte, random func() []byte) map[string][]byte {
	out := map[string][]byte{}
	made := func(key string) string {
		value := have[key]
		if len(value) == 0 {
			value = random()
		}
		out[key] = value
		return string(value)
	}
	host := fmt.Sprintf("%s.%s.svc", StoreName(instance.Name, store), instance.Namespace)
	if store == Cache {
		password := made(passwordKey)
		set(out, map[string]string{"host": host, "port": "6379", "uri": uri("redis", "", password, host, "6379", "0", "")})
		return out
	}
	made(superuserPasswordKey)
	user := "englog"
	if given := have[usernameKey]; len(given) > 0 { // a second role, to rotate without a gap
		user = string(given)
	}
	service, owner := made(passwordKey), made(ownerPasswordKey)
	set(out, map[string]string{
		"host": host, "port": "5432", "dbname": "englog", usernameKey: user,
		"uri":      uri("postgres", user, service, host, "5432", "englog", "sslmode=disable"),
		"ownerURI": uri("postgres", "englog_owner", owner, host, "5432", "englog", "sslmode=disable"),
	})
	return out
}

// roleName is what the service's role may be called: the name goes into SQL and into a URI.
var roleName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,63}$`)

// UnfitCredential says what is wrong with what a person has written into the Secret of a Managed store, and how to mend it; empty when all is
// fine. It never repeats a value.
func UnfitCredential(have map[string][]byte) string {
	user := string(have[usernameKey])
	switch {
	case user == "":
	case !roleName.MatchString(user):
		return "username must consist of at most 63 letters, digits, '-' and '_', without a line break at its end"
	case user == "postgres" || user == "englog_owner" || strings.HasPrefix(user, "pg_"):
		return "username must not be postgres, englog_owner or begin with pg_: the service runs as a role that may change rows and no tables"
	}
	for _, key := range []string{passwordKey, ownerPasswordKey} {
		if strings.ContainsFunc(string(have[key]), func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
			return key + " must not contain spaces or line breaks: write it without one at its end"
		}
	}
	return ""
}

func set(out map[string][]byte, values map[string]string) {
	for key, value := range values {
		out[key] = []byte(value)
	}
}

func uri(scheme, user, password, host, port, name, query string) string {
	u := url.URL{Scheme: scheme, User: url.UserPassword(user, password), Host: host + ":" + port, Path: "/" + name, RawQuery: query}
	return u.String()
}
